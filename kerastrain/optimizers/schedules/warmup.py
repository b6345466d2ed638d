"""A schedule that starts gently."""

from typing import Any, Literal

import keras

from kerastrain._core.checks import choice, number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.names import call_of
from kerastrain._core.registry import NonNegativeInt, UnitInterval
from kerastrain.optimizers.schedules.inner_schedules import Schedule, checked_schedule, rate_at, restored, saved
from kerastrain.optimizers.schedules.ramps import ramp
from kerastrain.optimizers.schedules.step_counts import as_rate, as_step, since, until

SHAPES = ("linear", "cosine", "cubic", "exponential")


@keras.saving.register_keras_serializable(package="kerastrain")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule, or a constant rate, that starts gently.

        rate(step) = schedule(0) * ramp(step / warmup_steps)     for step < warmup_steps
                     schedule(step - warmup_steps)               from then on

    with s the `start_fraction` and t in [0, 1] the ramp

    - `linear`: `s + (1 - s) t`
    - `cosine`: `s + (1 - s) (1 - cos(pi t)) / 2`, flat at both ends
    - `cubic`: `s + (1 - s) t^3`, most of it late
    - `exponential`: `s ** (1 - t)`, a constant factor a step

    The schedule begins when the warmup ends, so the whole takes `warmup_steps` longer than the schedule alone.

    Use it with large batches or rates, where the first updates would throw the weights far from a good start, and with
    Adam's rules, whose first second-moment estimates are noisy. A small network at a moderate rate needs none.

    Args:
        schedule: what follows: any Keras schedule, or a number >= 0 for a constant rate.
        warmup_steps: optimizer updates; an int >= 0. At 0 it is the schedule itself.
        shape: `"linear"`, `"cosine"`, `"cubic"` or `"exponential"`.
        start_fraction: the ramp's value at step 0, in [0, 1]; above 0 for the exponential shape. At 0 the first update
            changes nothing.
        name: a name for its operations.

    Raises:
        InputError: an argument out of range, or an exponential warmup from 0.

    Example:

    >>> schedule = Warmup(0.4, warmup_steps=4)
    >>> [round(float(schedule(step)), 6) for step in (0, 1, 2, 3, 4, 100)]
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.4]

    Reference: P. Goyal et al., 2017, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", section 2.2,
    arXiv:1706.02677 (its gradual warmup is the linear one). Nearest objects: `optax.join_schedules` of
    `optax.linear_schedule` and the schedule, equal for the linear shape; Keras's `CosineDecay(warmup_target,
    warmup_steps)`, a linear warmup for that one schedule; `torch.optim.lr_scheduler.LinearLR`, whose main schedule goes
    on counting beneath it.
    """

    def __init__(
        self,
        schedule: Schedule,
        warmup_steps: NonNegativeInt,
        shape: Literal["linear", "cosine", "cubic", "exponential"] = "linear",
        start_fraction: UnitInterval = 0.0,
        name: str = "Warmup",
    ) -> None:
        super().__init__()
        self.schedule = checked_schedule("schedule", schedule)
        self.warmup_steps = whole_number("warmup_steps", warmup_steps, minimum=0)
        self.shape = choice("shape", shape, SHAPES)
        self.start_fraction = number("start_fraction", start_fraction, minimum=0, maximum=1)
        self.name = name
        if self.shape == "exponential" and self.start_fraction == 0:
            raise InputError(
                "`start_fraction` must be above 0 for shape='exponential': no factor leads away from 0. "
                f"Received: start_fraction={start_fraction!r}. Use 0.01, say, or shape='linear'."
            )

    def __call__(self, step: Any) -> Any:
        with keras.name_scope(self.name):
            step = as_step(step)
            if self.warmup_steps == 0:
                return rate_at(self.schedule, step)
            warm = rate_at(self.schedule, keras.ops.zeros_like(step)) * self._ramp(step)
            after = rate_at(self.schedule, since(step, self.warmup_steps))
            return keras.ops.where(step >= self.warmup_steps, after, warm)

    def _ramp(self, step: Any) -> Any:
        if self.shape == "exponential":
            left = as_rate(until(step, self.warmup_steps)) / self.warmup_steps
            return keras.ops.power(as_rate(self.start_fraction), left)
        return ramp(self.shape, self.start_fraction, 1.0, as_rate(step) / self.warmup_steps)

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": saved(self.schedule),
            "warmup_steps": self.warmup_steps,
            "shape": self.shape,
            "start_fraction": self.start_fraction,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Warmup":
        return cls(**{**config, "schedule": restored(config["schedule"])})
