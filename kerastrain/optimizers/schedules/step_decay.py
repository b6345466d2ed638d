"""The rate multiplied by a factor every so many steps."""

from typing import Any

import keras

from kerastrain._core.checks import number, whole_number
from kerastrain._core.names import call_of
from kerastrain._core.registry import PositiveFloat, PositiveInt
from kerastrain.optimizers.schedules.powers import power_tables, whole_power
from kerastrain.optimizers.schedules.step_counts import as_step, completed


@keras.saving.register_keras_serializable(package="kerastrain")
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """The rate multiplied by a factor every `step_size` steps.

        rate(step) = initial_learning_rate * factor ** floor(step / step_size)

    It is the formula of `keras.optimizers.schedules.ExponentialDecay(initial_learning_rate, step_size, factor,
    staircase=True)`, which works in float32: beyond 2**24 steps it may change the rate at a wrong step, and its
    0.999**1000 is off by 1.3e-5 of its value. Here the division is an integer one, and the result is right to 1e-6.

    Use it to train at a high rate until the loss levels off, then lower; classical for ResNets (factor 0.1 after each
    third of the run). Where the length of the run is known, a schedule that falls all the time (`Triangle`,
    `keras.optimizers.schedules.CosineDecay`) has fewer numbers to choose.

    Args:
        initial_learning_rate: the rate at step 0; > 0.
        factor: multiplies the rate; > 0. Above 1 the rate grows, as in a range test.
        step_size: optimizer updates between two changes; an int >= 1. For epochs, wrap the schedule in `PerEpoch`.
        name: a name for its operations.

    Raises:
        InputError: an argument out of range.

    Example:

    >>> schedule = StepDecay(0.1, factor=0.5, step_size=10)
    >>> [round(float(schedule(step)), 6) for step in (0, 9, 10, 20, 30)]
    [0.1, 0.1, 0.05, 0.025, 0.0125]

    Reference: R. Ge, S. M. Kakade, R. Kidambi, P. Netrapalli, 2019, "The Step Decay Schedule: A Near Optimal,
    Geometrically Decaying Learning Rate Procedure for Least Squares", arXiv:1904.12838. Nearest objects: Keras's above;
    `torch.optim.lr_scheduler.StepLR(step_size, gamma=factor)`, equal when it is stepped after each update.
    """

    def __init__(
        self,
        initial_learning_rate: PositiveFloat,
        factor: PositiveFloat,
        step_size: PositiveInt,
        name: str = "StepDecay",
    ) -> None:
        super().__init__()
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate, above=0)
        self.factor = number("factor", factor, above=0)
        self.step_size = whole_number("step_size", step_size)
        self.name = name
        self._powers = power_tables(self.factor)

    def __call__(self, step: Any) -> Any:
        with keras.name_scope(self.name):
            changes = completed(as_step(step), self.step_size)
            return self.initial_learning_rate * whole_power(self._powers, changes)

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "factor": self.factor,
            "step_size": self.step_size,
            "name": self.name,
        }
