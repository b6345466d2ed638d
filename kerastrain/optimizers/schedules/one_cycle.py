"""One rise and one long fall of the rate, and the momentum against it."""

from typing import Any, Literal

import keras

from kerastrain._core.checks import choice, number, whole_number
from kerastrain._core.names import call_of
from kerastrain._core.registry import PositiveFloat, PositiveInt, UnitInterval
from kerastrain.optimizers.schedules.ramps import ramp
from kerastrain.optimizers.schedules.step_counts import as_rate, as_step, passed, until

SHAPES = ("cosine", "linear")


@keras.saving.register_keras_serializable(package="kerastrain")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """One rise of the rate and one long fall, to far below its start.

        initial = maximal_learning_rate / initial_divisor,   final = initial / final_divisor
        rise:  initial -> maximal  from step 0 to step rise_fraction * total_steps - 1
        fall:  maximal -> final    from there to step total_steps - 1, and constant afterwards

    along half a cosine each (`cosine`) or a line (`linear`). At `rise_fraction` 1 there is no fall: the run ends at the
    top, and the final rate follows at once. `momentum()` gives the schedule that runs the momentum against the rate:
    high, low, high.

    Use it for runs of known length with a maximal rate from a range test; the high rates in the middle regularize, so
    lower the weight decay beside it. Not where training may be prolonged: the last rate is close to 0.

    Args:
        maximal_learning_rate: the rate at the top; > 0.
        total_steps: optimizer updates of the run; an int >= 1.
        rise_fraction: the part of the steps that the rise takes, in [0, 1].
        initial_divisor: maximal / initial rate; > 0. Below 1 the cycle is turned over, as `momentum()` needs it.
        final_divisor: initial / final rate; > 0.
        shape: `"cosine"` or `"linear"`.
        name: a name for its operations.

    Raises:
        InputError: an argument out of range.

    Example:

    >>> schedule = OneCycle(1.0, total_steps=101, rise_fraction=0.5, shape="linear", final_divisor=4.0)
    >>> [round(float(schedule(step)), 4) for step in (0, 100, 500)]
    [0.04, 0.01, 0.01]
    >>> momentum = schedule.momentum()
    >>> [round(float(momentum(step)), 4) for step in (0, 100)]
    [0.95, 0.95]

    Reference: L. N. Smith, N. Topin, 2017, "Super-Convergence: Very Fast Training of Neural Networks Using Large
    Learning Rates", arXiv:1708.07120. Equal to `torch.optim.lr_scheduler.OneCycleLR` with two phases (the paper's
    third is not there), also in its count: a phase ends one step before the fraction says. Where `rise_fraction *
    total_steps` is 1, torch divides by 0 and this schedule begins at the top; after the last step torch raises an error
    and this one stays. `optax.cosine_onecycle_schedule` ends its phases one step later.
    """

    def __init__(
        self,
        maximal_learning_rate: PositiveFloat,
        total_steps: PositiveInt,
        rise_fraction: UnitInterval = 0.3,
        initial_divisor: PositiveFloat = 25.0,
        final_divisor: PositiveFloat = 1e4,
        shape: Literal["cosine", "linear"] = "cosine",
        name: str = "OneCycle",
    ) -> None:
        super().__init__()
        self.maximal_learning_rate = number("maximal_learning_rate", maximal_learning_rate, above=0)
        self.total_steps = whole_number("total_steps", total_steps)
        self.rise_fraction = number("rise_fraction", rise_fraction, minimum=0, maximum=1)
        self.initial_divisor = number("initial_divisor", initial_divisor, above=0)
        self.final_divisor = number("final_divisor", final_divisor, above=0)
        self.shape = choice("shape", shape, SHAPES)
        self.name = name

    def __call__(self, step: Any) -> Any:
        initial = self.maximal_learning_rate / self.initial_divisor
        final = initial / self.final_divisor
        rise_end = self.rise_fraction * self.total_steps - 1
        fall_end = self.total_steps - 1
        with keras.name_scope(self.name):
            step = as_step(step)
            risen = as_rate(step) / rise_end if rise_end > 0 else as_rate(1.0)
            left = as_rate(until(step, fall_end)) / (fall_end - rise_end if fall_end > rise_end else 1)
            rising = ramp(self.shape, initial, self.maximal_learning_rate, risen)
            falling = ramp(self.shape, final, self.maximal_learning_rate, left)
            return keras.ops.where(passed(step, rise_end), falling, rising)

    def momentum(self, minimal: PositiveFloat = 0.85, maximal: PositiveFloat = 0.95) -> "OneCycle":
        """The momentum that runs against the rate: `maximal` -> `minimal` during the rise, back during the fall.

        It is itself a OneCycle with its top at the bottom. Equal to `cycle_momentum` of torch's OneCycleLR. For a rule
        whose `momentum` may be a schedule; `keras.optimizers.SGD` takes a number only.

        Args:
            minimal: the momentum where the rate is highest, in (0, 1).
            maximal: the momentum at both ends, in (0, 1) and at least `minimal`.

        Raises:
            InputError: a momentum out of range.
        """
        minimal = number("minimal", minimal, above=0, below=1)
        maximal = number("maximal", maximal, minimum=minimal, below=1)
        return OneCycle(
            minimal,
            self.total_steps,
            self.rise_fraction,
            initial_divisor=minimal / maximal,
            final_divisor=1.0,
            shape="cosine" if self.shape == "cosine" else "linear",
            name=f"{self.name}_momentum",
        )

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        return {
            "maximal_learning_rate": self.maximal_learning_rate,
            "total_steps": self.total_steps,
            "rise_fraction": self.rise_fraction,
            "initial_divisor": self.initial_divisor,
            "final_divisor": self.final_divisor,
            "shape": self.shape,
            "name": self.name,
        }
