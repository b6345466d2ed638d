"""The rate up and down between two bounds, again and again."""

from typing import Annotated, Any, Literal

import keras
from pydantic import Field

from kerastrain._core.checks import choice, number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.names import call_of
from kerastrain._core.registry import NonNegativeFloat, PositiveFloat, PositiveInt
from kerastrain.optimizers.schedules.powers import power_tables, whole_power
from kerastrain.optimizers.schedules.step_counts import as_rate, as_step, completed, within

MODES = ("triangular", "triangular2", "exp_range")


@keras.saving.register_keras_serializable(package="kerastrain")
class Cyclical(keras.optimizers.schedules.LearningRateSchedule):
    """The rate up and down along lines between two bounds, again and again.

        cycle = floor(1 + step / (2 step_size))
        x     = |step / step_size - 2 cycle + 1|
        rate  = initial + (maximal - initial) * max(0, 1 - x) * scale

    with the scale

    - `triangular`: 1
    - `triangular2`: `1 / 2 ** (cycle - 1)`, half the height each cycle
    - `exp_range`: `gamma ** step`

    Use it where one good rate is hard to find: the cycle passes through a range of them, and its low points are good
    ones to save or average the weights at. Where the length of the run is known, `OneCycle` is the later advice of the
    same author.

    Args:
        initial_learning_rate: the lower bound, where each cycle starts; >= 0.
        maximal_learning_rate: the upper bound; > 0 and at least the lower one.
        step_size: optimizer updates of half a cycle; an int >= 1. The paper advises 2 to 10 epochs.
        mode: `"triangular"`, `"triangular2"` or `"exp_range"`.
        gamma: for `exp_range` only: the factor a step, in (0, 1].
        name: a name for its operations.

    Raises:
        InputError: an argument out of range, bounds the wrong way round, or a gamma that the mode does not use.

    Example:

    >>> schedule = Cyclical(0.1, 0.5, step_size=4, mode="triangular2")
    >>> [round(float(schedule(step)), 6) for step in (0, 2, 4, 6, 8, 12)]
    [0.1, 0.3, 0.5, 0.3, 0.1, 0.3]

    Reference: L. N. Smith, 2017, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186. Equal to
    `torch.optim.lr_scheduler.CyclicLR` with `step_size_up = step_size_down = step_size` and to `CyclicalLearningRate`
    of the discontinued TensorFlow Addons. Two deviations, both for long runs: the cycle is counted in integers, and
    `gamma ** step` comes from float64 tables (0.99994 ** 100000 in float32 is wrong by 0.2 %).
    """

    def __init__(
        self,
        initial_learning_rate: NonNegativeFloat,
        maximal_learning_rate: PositiveFloat,
        step_size: PositiveInt,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: Annotated[float, Field(gt=0, le=1)] = 1.0,
        name: str = "Cyclical",
    ) -> None:
        super().__init__()
        self.initial_learning_rate = number("initial_learning_rate", initial_learning_rate, minimum=0)
        self.maximal_learning_rate = number("maximal_learning_rate", maximal_learning_rate, above=0)
        self.step_size = whole_number("step_size", step_size)
        self.mode = choice("mode", mode, MODES)
        self.gamma = number("gamma", gamma, above=0, maximum=1)
        self.name = name
        if self.maximal_learning_rate < self.initial_learning_rate:
            raise InputError(
                "`maximal_learning_rate` must be at least `initial_learning_rate`. Received: "
                f"initial_learning_rate={initial_learning_rate!r}, maximal_learning_rate={maximal_learning_rate!r}. "
                "Swap them."
            )
        if self.mode != "exp_range" and self.gamma != 1.0:
            raise InputError(
                f"`gamma` is for mode='exp_range' only. Received: mode={mode!r}, gamma={gamma!r}. "
                "Leave it out, or set the mode."
            )
        self._powers = power_tables({"triangular": 1.0, "triangular2": 0.5, "exp_range": self.gamma}[self.mode])

    def __call__(self, step: Any) -> Any:
        with keras.name_scope(self.name):
            step = as_step(step)
            # The distance to the nearer end of the cycle, so that both slopes are exact near the lower bound.
            position = within(step, 2 * self.step_size)
            height = as_rate(self.step_size - keras.ops.absolute(position - self.step_size)) / self.step_size
            swing = (self.maximal_learning_rate - self.initial_learning_rate) * height
            return self.initial_learning_rate + swing * self._scale(step)

    def _scale(self, step: Any) -> Any:
        if self.mode == "triangular":
            return 1.0
        if self.mode == "triangular2":
            return whole_power(self._powers, completed(step, 2 * self.step_size))
        part = as_rate(within(step, 1))  # Not 0 for fractions of a step only, as PerEpoch passes them.
        return whole_power(self._powers, completed(step, 1)) * keras.ops.power(as_rate(self.gamma), part)

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "maximal_learning_rate": self.maximal_learning_rate,
            "step_size": self.step_size,
            "mode": self.mode,
            "gamma": self.gamma,
            "name": self.name,
        }
