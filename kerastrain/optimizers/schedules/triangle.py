"""The rate up along a line, then down along another."""

from typing import Any

import keras

from kerastrain._core.checks import number, whole_number
from kerastrain._core.names import call_of
from kerastrain._core.registry import NonNegativeFloat, PositiveFloat, PositiveInt, UnitInterval
from kerastrain.optimizers.schedules.ramps import ramp
from kerastrain.optimizers.schedules.step_counts import as_rate, as_step, until


@keras.saving.register_keras_serializable(package="kerastrain")
class Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """The rate up along a line to a peak, then down along another.

        rate(step) = learning_rate * m,  m on straight lines through
                     (0, start), (int(peak_fraction * total_steps), peak), (total_steps, end)

    and constant afterwards. At `peak_fraction` 0 there is no rise, and at 1 no fall.

    Use it for short runs of known length: the rise is a warmup, the fall ends at a rate that settles the weights. The
    fastest trainings of CIFAR-10 use 0.2 -> 1 over the first 23 % and 0.07 at the end. Not for runs whose length is
    open: afterwards the rate stays at `end`, which may be 0.

    Args:
        learning_rate: what the three multipliers multiply; > 0.
        total_steps: optimizer updates until `end`; an int >= 1.
        start: multiplier at step 0; >= 0.
        peak: multiplier at the peak; >= 0.
        end: multiplier from `total_steps` on; >= 0.
        peak_fraction: where the peak is, as a fraction of the steps, in [0, 1].
        name: a name for its operations.

    Raises:
        InputError: an argument out of range.

    Example:

    >>> schedule = Triangle(2.0, total_steps=100, start=0.2, end=0.07, peak_fraction=0.23)
    >>> [round(float(schedule(step)), 6) for step in (0, 23, 100, 200)]
    [0.4, 2.0, 0.14, 0.14]

    Reference: K. Jordan, 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv:2404.00498, where it is
    `numpy.interp` over the same three points. Nearest objects: `OneCycle(shape="linear")`, which ends one step earlier
    and has its multipliers as divisors; two `optax.linear_schedule`s in `optax.join_schedules`.
    """

    def __init__(
        self,
        learning_rate: PositiveFloat,
        total_steps: PositiveInt,
        start: NonNegativeFloat = 0.0,
        peak: NonNegativeFloat = 1.0,
        end: NonNegativeFloat = 0.0,
        peak_fraction: UnitInterval = 0.5,
        name: str = "Triangle",
    ) -> None:
        super().__init__()
        self.learning_rate = number("learning_rate", learning_rate, above=0)
        self.total_steps = whole_number("total_steps", total_steps)
        self.start = number("start", start, minimum=0)
        self.peak = number("peak", peak, minimum=0)
        self.end = number("end", end, minimum=0)
        self.peak_fraction = number("peak_fraction", peak_fraction, minimum=0, maximum=1)
        self.name = name
        self.peak_step = int(self.peak_fraction * self.total_steps)

    def __call__(self, step: Any) -> Any:
        with keras.name_scope(self.name):
            step = as_step(step)
            fall_steps = max(1, self.total_steps - self.peak_step)
            left = as_rate(until(step, self.total_steps)) / fall_steps
            rising = ramp("linear", self.start, self.peak, as_rate(step) / max(1, self.peak_step))
            falling = ramp("linear", self.end, self.peak, left)
            return self.learning_rate * keras.ops.where(step >= self.peak_step, falling, rising)

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "total_steps": self.total_steps,
            "start": self.start,
            "peak": self.peak,
            "end": self.end,
            "peak_fraction": self.peak_fraction,
            "name": self.name,
        }
