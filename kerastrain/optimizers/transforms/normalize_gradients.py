"""Gradients of unit length."""

from collections.abc import Sequence
from typing import Any, Literal

import keras

from kerastrain._core import tensor_lists
from kerastrain._core.checks import choice, number
from kerastrain._core.registry import PositiveFloat
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class NormalizeGradients(GradientTransform):
    """The gradient divided by its L2 norm, also where it is short: only the direction is left.

    `g <- g / max(||g||, epsilon)`

    Clipping shortens what is too long; this makes every step as long as the learning rate says. Use it where gradients
    vanish and explode by turns, with a decaying rate, since near a minimum the steps do not become shorter by
    themselves. Keras has nothing of the kind. Where a norm is not finite (an element is not, or the sum of squares
    exceeds float32), the finite elements become 0 and the others NaN.

    Args:
        scope: `"global"`, one norm of all gradients together, or `"variable"`, one for each variable.
        epsilon: the least norm that is divided by, a number > 0. A gradient of 0 stays 0.

    State: none.

    Raises:
        InputError: an unknown scope, or `epsilon` is not a number > 0.

    Example:

    >>> NormalizeGradients().get_config()
    {'scope': 'global', 'epsilon': 1e-08}

    Reference: Varma, lecture 7, "Norm-based clipping: entire gradient vector is normalized by L2 norm"; Hazan, Levy and
    Shalev-Shwartz, 2015, Beyond convexity: stochastic quasi-convex optimization, arXiv:1507.02030.
    """

    def __init__(self, scope: Literal["global", "variable"] = "global", epsilon: PositiveFloat = 1e-8) -> None:
        super().__init__()
        self.scope = choice("scope", scope, ("global", "variable"))
        self.epsilon = number("epsilon", epsilon, above=0)

    @property
    def by_variable(self) -> bool:  # type: ignore[override]
        return self.scope == "variable"

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        squares = tensor_lists.squared_norms(gradients)
        if self.scope == "global":
            factors = [self._factor(keras.ops.sum(squares))] * len(gradients)
        else:
            factors = keras.ops.unstack(self._factor(squares), len(gradients))
        # Not in the gradient's dtype: float16 has no 1 / epsilon.
        return [
            keras.ops.cast(keras.ops.cast(g, "float32") * factor, g.dtype)
            for g, factor in zip(gradients, factors, strict=True)
        ]

    def _factor(self, squares: Any) -> Any:
        norms = keras.ops.sqrt(squares)
        factor = 1 / keras.ops.maximum(norms, self.epsilon)
        return keras.ops.where(keras.ops.isfinite(norms), factor, keras.ops.zeros_like(factor))

    def get_config(self) -> dict[str, Any]:
        return {"scope": self.scope, "epsilon": self.epsilon}
