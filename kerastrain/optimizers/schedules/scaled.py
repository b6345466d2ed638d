"""A schedule times a constant."""

from typing import Any

import keras

from kerastrain._core.checks import number
from kerastrain._core.names import call_of
from kerastrain._core.registry import NonNegativeFloat
from kerastrain.optimizers.schedules.inner_schedules import Schedule, checked_schedule, rate_at, restored, saved
from kerastrain.optimizers.schedules.step_counts import as_step


@keras.saving.register_keras_serializable(package="kerastrain")
class Scaled(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule times a constant.

        rate(step) = factor * schedule(step)

    Use it for a group of variables that is to learn at a fraction of the common rate, or to carry a schedule over to
    another batch size. Where the schedule's own first argument is the rate, change that instead.

    Args:
        schedule: any Keras schedule, or a number >= 0 for a constant rate.
        factor: >= 0; at 0 nothing is learned.
        name: a name for its operations.

    Raises:
        InputError: an argument out of range.

    Example:

    >>> schedule = Scaled(keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 1.0), factor=0.5)
    >>> [round(float(schedule(step)), 6) for step in (0, 1)]
    [0.05, 0.025]

    Reference: P. Goyal et al., 2017, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", section 2.1,
    arXiv:1706.02677: k times the batch size, k times the rate. Neither Keras nor torch has such a wrapper; in optax one
    writes a lambda, which a Keras model cannot save.
    """

    def __init__(self, schedule: Schedule, factor: NonNegativeFloat, name: str = "Scaled") -> None:
        super().__init__()
        self.schedule = checked_schedule("schedule", schedule)
        self.factor = number("factor", factor, minimum=0)
        self.name = name

    def __call__(self, step: Any) -> Any:
        with keras.name_scope(self.name):
            return self.factor * rate_at(self.schedule, as_step(step))

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        return {"schedule": saved(self.schedule), "factor": self.factor, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Scaled":
        return cls(**{**config, "schedule": restored(config["schedule"])})
