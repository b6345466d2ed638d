"""Clipping of each variable's gradient by its norm."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kerastrain._core import tensor_lists
from kerastrain._core.checks import Bounds, number
from kerastrain._core.registry import PositiveFloat
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class ClipByNorm(GradientTransform):
    """The gradient of each variable to an L2 norm of at most `max_norm`, variable by variable.

    `g <- g * max_norm / ||g||  where ||g|| > max_norm`

    Keras's `clipnorm` has the same formula and excludes other clipping. The steps of two variables no longer keep
    their proportion; `ClipByGlobalNorm` keeps it. Where a norm is not finite (an element is not, or the sum of
    squares exceeds float32), the finite elements of that variable's gradient become 0 and the others NaN.

    Args:
        max_norm: the largest norm, a number > 0.

    State: a scalar, `max_norm` among the optimizer's `hyperparameters`.

    Raises:
        InputError: `max_norm` is not a finite number > 0.

    Example:

    >>> ClipByNorm(3.0).get_config()
    {'max_norm': 3.0}

    Reference: Varma, Module II, "Gradient Clipping by Norm".
    """

    bounds: ClassVar[Bounds] = {"max_norm": {"above": 0, "remedy": "Leave the transform out to switch clipping off."}}

    def __init__(self, max_norm: PositiveFloat) -> None:
        super().__init__()
        self.max_norm = number("max_norm", max_norm, **self.bounds["max_norm"])

    def hyperparameter_values(self) -> dict[str, float]:
        return {"max_norm": self.max_norm}

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        norms = keras.ops.sqrt(tensor_lists.squared_norms(gradients))
        factors = keras.ops.unstack(clip_factor(norms, self.hyperparameters["max_norm"]), len(gradients))
        return [
            gradient * keras.ops.cast(factor, gradient.dtype)
            for gradient, factor in zip(gradients, factors, strict=True)
        ]

    def get_config(self) -> dict[str, Any]:
        return {"max_norm": self.max_norm}


def clip_factor(norms: Any, max_norm: Any) -> Any:
    """`max_norm / norm` where the norm exceeds it, else 1; 0 where the norm is not finite."""
    max_norm = keras.ops.cast(max_norm, norms.dtype)
    # In the norm and not in the factor, which XLA computes again in the update of every variable.
    norms = keras.ops.where(keras.ops.isnan(norms), float("inf"), norms)
    return max_norm / keras.ops.maximum(norms, max_norm)
