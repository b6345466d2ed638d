"""The mean of the iterates."""

from typing import Any

import keras

from kerastrain._core.checks import number, whole_number
from kerastrain._core.registry import NonNegativeFloat, NonNegativeInt
from kerastrain.optimizers.averaging.weight_averaging import WeightAveraging, nth


@keras.saving.register_keras_serializable(package="kerastrain")
class PolyakAveraging(WeightAveraging):
    """The mean of the weights after each update: Polyak-Ruppert averaging.

    `average_T = 1/n * sum theta_t` over the n updates t = start_step + 1 .. T; theta_0 is left out. With `power` > 0
    later iterates weigh more, `average_n = (1 - c) average_(n-1) + c theta_n` with `c = (power + 1) / (power + n)`, so
    that theta_i weighs about as `i^power`.

    It takes the noise of the last steps out, at a rate that need not decay. Keras's `use_ema` forgets at a fixed rate
    instead, and has no mean. Up to `start_step` the average follows the weights.

    Args:
        start_step: updates that are left out at the start, a whole number >= 0: until the weights have left their
            first approach behind.
        power: how much later iterates weigh more, a number >= 0; 0 is the uniform mean.

    State: an average for each trainable variable, of its shape.

    Raises:
        InputError: an argument is out of its range.

    Example:

    >>> PolyakAveraging(start_step=2_000).get_config()
    {'start_step': 2000, 'power': 0.0}

    Reference: Polyak and Juditsky, 1992, Acceleration of stochastic approximation by averaging, SIAM Journal on Control
    and Optimization 30 (4); the weighted form is Shamir and Zhang, 2013, arXiv:1212.1824, section 3 (polynomial-decay
    averaging, eta = power).
    """

    def __init__(self, start_step: NonNegativeInt = 0, power: NonNegativeFloat = 0.0) -> None:
        super().__init__()
        self.start_step = whole_number("start_step", start_step, minimum=0)
        self.power = number("power", power, minimum=0)

    def first_update(self) -> int:
        return self.start_step + 1

    def decay_at(self, update: Any) -> Any:
        count = nth(update, self.start_step)
        return (count - 1) / (count + self.power)

    def get_config(self) -> dict[str, Any]:
        return {"start_step": self.start_step, "power": self.power}
