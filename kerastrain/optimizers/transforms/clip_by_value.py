"""Clipping of each element of a gradient."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import FiniteFloat
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class ClipByValue(GradientTransform):
    """Each element of each gradient into `[min_value, max_value]`.

    `g_i <- max(min(g_i, max_value), min_value)`

    Keras's `clipvalue` is symmetric; this need not be. Use it where single elements explode. It turns the direction
    of the gradient; `ClipByGlobalNorm` keeps it. An infinite element becomes the bound, NaN stays NaN, and neither
    touches another element.

    Args:
        min_value: the lower bound, a number.
        max_value: the upper bound, a number above `min_value`.

    State: two scalars, `min_value` and `max_value` among the optimizer's `hyperparameters`.

    Raises:
        InputError: a bound is not a finite number, or they are not in order.

    Example:

    >>> transform = ClipByValue(-2.0, 2.0)
    >>> transform.get_config()
    {'min_value': -2.0, 'max_value': 2.0}

    Reference: Varma, Module II, "Gradient Clipping by Value"; Mikolov, 2012, Statistical language models based on
    neural networks (thesis).
    """

    by_variable: ClassVar[bool] = False

    def __init__(self, min_value: FiniteFloat, max_value: FiniteFloat) -> None:
        super().__init__()
        self.min_value = number("min_value", min_value)
        self.max_value = number("max_value", max_value)
        if self.min_value >= self.max_value:
            raise InputError(
                "`min_value` must be below `max_value`. "
                f"Received: min_value={self.min_value:g}, max_value={self.max_value:g}."
            )

    def hyperparameter_values(self) -> dict[str, float]:
        return {"min_value": self.min_value, "max_value": self.max_value}

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        low, high = (self.hyperparameters[name] for name in ("min_value", "max_value"))
        return [
            keras.ops.clip(gradient, keras.ops.cast(low, gradient.dtype), keras.ops.cast(high, gradient.dtype))
            for gradient in gradients
        ]

    def get_config(self) -> dict[str, Any]:
        return {"min_value": self.min_value, "max_value": self.max_value}
