"""A schedule that counts epochs."""

from typing import Any

import keras

from kerastrain._core.checks import boolean, whole_number
from kerastrain._core.names import call_of
from kerastrain._core.registry import PositiveInt
from kerastrain.optimizers.schedules.inner_schedules import Schedule, checked_schedule, rate_at, restored, saved
from kerastrain.optimizers.schedules.step_counts import as_rate, as_step, completed, within


@keras.saving.register_keras_serializable(package="kerastrain")
class PerEpoch(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule whose argument is counted in epochs.

        rate(step) = schedule(floor(step / steps_per_epoch))     staircase=True
                     schedule(step / steps_per_epoch)            staircase=False

    Use it for formulas that are stated in epochs ("halve the rate every 10 epochs"); every count in the inner schedule
    is then one of epochs. With `staircase=False` the rate moves at every step; an inner schedule with sudden changes
    (`StepDecay`, `Sequence`) wants `staircase=True`, as a fraction of an epoch is a float32 and may round up to the
    change. For a rate counted in steps, use the schedule alone.

    Args:
        schedule: any Keras schedule, or a number >= 0 for a constant rate.
        steps_per_epoch: optimizer updates in an epoch; an int >= 1. For n samples in batches of b it is ceil(n / b).
            Gradient accumulation in Keras's optimizers does not change it: they count every batch.
        staircase: whether the rate stays the same within an epoch.
        name: a name for its operations.

    Raises:
        InputError: an argument out of range.

    Example:

    >>> schedule = PerEpoch(keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 1.0), steps_per_epoch=391)
    >>> [round(float(schedule(step)), 6) for step in (0, 390, 391, 782)]
    [0.1, 0.1, 0.05, 0.033333]

    Reference: torch's convention of calling `scheduler.step()` once an epoch; equal to it. Nearest object in Keras: the
    callback `keras.callbacks.LearningRateScheduler`, which sets the rate from Python between epochs and refuses an
    optimizer that has a schedule.
    """

    def __init__(
        self,
        schedule: Schedule,
        steps_per_epoch: PositiveInt,
        staircase: bool = True,
        name: str = "PerEpoch",
    ) -> None:
        super().__init__()
        self.schedule = checked_schedule("schedule", schedule)
        self.steps_per_epoch = whole_number("steps_per_epoch", steps_per_epoch)
        self.staircase = boolean("staircase", staircase)
        self.name = name

    def __call__(self, step: Any) -> Any:
        with keras.name_scope(self.name):
            step = as_step(step)
            epoch = completed(step, self.steps_per_epoch)
            if not self.staircase:
                epoch = as_rate(epoch) + as_rate(within(step, self.steps_per_epoch)) / self.steps_per_epoch
            return rate_at(self.schedule, epoch)

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": saved(self.schedule),
            "steps_per_epoch": self.steps_per_epoch,
            "staircase": self.staircase,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PerEpoch":
        return cls(**{**config, "schedule": restored(config["schedule"])})
