"""The exponential moving average of the iterates."""

import math
from typing import Any

import keras

from kerastrain._core.checks import boolean, number, whole_number
from kerastrain._core.registry import Fraction, PositiveInt
from kerastrain.optimizers.averaging.weight_averaging import WeightAveraging, nth


@keras.saving.register_keras_serializable(package="kerastrain")
class ExponentialAveraging(WeightAveraging):
    """The exponential moving average of the weights.

    `average <- d * average + (1 - d) * theta` every `every_steps` updates, beginning with the first theta. With
    `bias_correction` the average is that of a start at zero, divided by `1 - decay^n`: the newest n iterates count with
    weights `decay^(n-i)` that sum to 1, and the first one has no more than its share. The division is done in `d`, so
    that the average can be used as it is at any time.

    Keras's `use_ema` is the form without correction at every batch, accumulated or not, before constraints. This one
    moves after updates only, and after constraints.

    Args:
        decay: how much stays, in [0, 1); about `1 / (1 - decay)` iterates count.
        every_steps: updates between two moves, a whole number >= 1.
        bias_correction: whether the early averages are corrected.

    State: an average for each trainable variable, of its shape.

    Raises:
        InputError: an argument is out of its range.

    Example:

    >>> ExponentialAveraging(0.999).get_config()
    {'decay': 0.999, 'every_steps': 1, 'bias_correction': True}

    Reference: Kingma and Ba, 2015, Adam, arXiv:1412.6980, section 7.2 (temporal averaging, with its correction).
    """

    def __init__(self, decay: Fraction = 0.99, every_steps: PositiveInt = 1, bias_correction: bool = True) -> None:
        super().__init__()
        self.decay = number("decay", decay, minimum=0, below=1)
        self.every_steps = whole_number("every_steps", every_steps)
        self.bias_correction = boolean("bias_correction", bias_correction)

    def due(self, update: Any) -> Any:
        if self.every_steps == 1:
            return None
        # Before the first move the average follows, so that it is never the zeros it was made of.
        return keras.ops.logical_or(keras.ops.equal(update % self.every_steps, 0), update < self.every_steps)

    def decay_at(self, update: Any) -> Any:
        if not self.bias_correction or self.decay == 0:
            return self.decay * keras.ops.cast(update >= 2 * self.every_steps, "float32")
        count = nth(update, 0, self.every_steps)
        # 1 - decay^n, without the digits that the difference of two numbers near 1 loses.
        rate = math.log(self.decay)
        return self.decay * keras.ops.expm1((count - 1) * rate) / keras.ops.expm1(count * rate)

    def get_config(self) -> dict[str, Any]:
        return {"decay": self.decay, "every_steps": self.every_steps, "bias_correction": self.bias_correction}
