"""Slow weights that the fast ones are reset to."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kerastrain._core import tensor_lists
from kerastrain._core.checks import number, whole_number
from kerastrain._core.conditional import conditional
from kerastrain._core.registry import PositiveInt, UnitInterval
from kerastrain.optimizers.averaging.weight_averaging import WeightAveraging


@keras.saving.register_keras_serializable(package="kerastrain")
class Lookahead(WeightAveraging):
    """An average that is written back: every `every_steps` updates the weights go on from it.

    `slow <- d * slow + (1 - d) * theta;  theta <- slow` every `every_steps` updates, from `slow = theta_0`.

    The paper's alpha is `1 - d`. With d rising over the run, as in the CIFAR-10 speed records, it averages more as the
    weights come to rest. `fit` ends with the fast weights in the model; `averaged_weights` gives the slow ones. The
    other averages leave the weights alone. Keras's nearest is `ema_overwrite_frequency`, whose average moves at every
    step.

    Args:
        every_steps: updates between two writes, a whole number >= 1.
        decay_schedule: d, a number in [0, 1], or a schedule (or registered callable) that gives it for the number of
            updates made.

    State: slow weights for each trainable variable, of its shape.

    Raises:
        InputError: an argument is out of its range.

    Example:

    >>> Lookahead(every_steps=5).get_config()
    {'every_steps': 5, 'decay_schedule': 0.5}

    Reference: Zhang, Lucas, Hinton and Ba, 2019, Lookahead optimizer: k steps forward, 1 step back, arXiv:1907.08610,
    algorithm 1; the schedule is Jordan's, 2024, arXiv:2404.00498.
    """

    follows: ClassVar[bool] = False

    def __init__(self, every_steps: PositiveInt = 5, decay_schedule: UnitInterval | Any = 0.5) -> None:
        super().__init__()
        self.every_steps = whole_number("every_steps", every_steps)
        if not callable(decay_schedule):
            decay_schedule = number("decay_schedule", decay_schedule, minimum=0, maximum=1)
        self.decay_schedule = decay_schedule

    def first_update(self) -> int:
        return self.every_steps

    def due(self, update: Any) -> Any:
        return keras.ops.equal(update % self.every_steps, 0)

    def decay_at(self, update: Any) -> Any:
        return self.decay_schedule(update) if callable(self.decay_schedule) else self.decay_schedule

    def before_update(self, iterations: Any, variables: Sequence[keras.Variable]) -> None:
        # Not when the slow weights are made: the model's may be loaded between then and the first update.
        slow, fast = self._pairs(variables)
        conditional(
            keras.ops.equal(iterations, 0), lambda: tensor_lists.copy_into(slow, fast), variables=[*slow, *fast]
        )

    def _move(self, update: Any, variables: Sequence[keras.Variable]) -> None:
        super()._move(update, variables)
        slow, fast = self._pairs(variables)
        tensor_lists.copy_into(fast, slow)

    def get_config(self) -> dict[str, Any]:
        schedule = self.decay_schedule
        return {
            "every_steps": self.every_steps,
            "decay_schedule": keras.saving.serialize_keras_object(schedule) if callable(schedule) else schedule,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Lookahead":
        config = dict(config)
        if isinstance(config["decay_schedule"], dict):
            config["decay_schedule"] = keras.saving.deserialize_keras_object(config["decay_schedule"])
        return cls(**config)
