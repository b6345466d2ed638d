"""Clipping of each unit's gradient relative to the unit's weights."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kerastrain._core.checks import Bounds, number
from kerastrain._core.registry import PositiveFloat
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class AdaptiveClip(GradientTransform):
    """Adaptive gradient clipping: the gradient of each unit at most `factor` times as long as the unit's weights.

    For each unit i (a column of a dense kernel, a filter of a convolution, a whole vector)

    `g_i <- g_i * factor * max(||w_i||, epsilon) / ||g_i||  where ||g_i|| > factor * max(||w_i||, epsilon)`

    It lets networks without batch normalization train with large batches. The paper leaves the last layer unclipped:
    give the transform to a `ParameterGroup` of the other layers. Keras has nothing of the kind; optax calls it
    `adaptive_grad_clip`, and takes a kernel of rank 3 for attention heads, here it is a Conv1D's. A unit whose norm is
    not finite gets a gradient of 0, its non-finite elements NaN. Units are the last axis, which in Keras's depthwise
    and transposed convolutions is not that of the outputs.

    Args:
        factor: the largest ratio of norms, a number > 0; the paper takes 0.01 to 0.16, smaller for larger batches.
        epsilon: the least norm a unit's weights count with, a number > 0, so that weights of 0 can move.

    State: a scalar, `factor` among the optimizer's `hyperparameters`.

    Raises:
        InputError: an argument is not a finite number > 0.

    Example:

    >>> AdaptiveClip(0.01).get_config()
    {'factor': 0.01, 'epsilon': 0.001}

    Reference: Brock, De, Smith and Simonyan, 2021, High-performance large-scale image recognition without
    normalization, arXiv:2102.06171, equation 3.
    """

    bounds: ClassVar[Bounds] = {"factor": {"above": 0}}

    def __init__(self, factor: PositiveFloat = 0.01, epsilon: PositiveFloat = 1e-3) -> None:
        super().__init__()
        self.factor = number("factor", factor, **self.bounds["factor"])
        self.epsilon = number("epsilon", epsilon, above=0)

    def hyperparameter_values(self) -> dict[str, float]:
        return {"factor": self.factor}

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        factor = self.hyperparameters["factor"]
        return [
            self._clipped(gradient, variable, factor) for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def _clipped(self, gradient: Any, variable: Any, factor: Any) -> Any:
        weights = keras.ops.convert_to_tensor(variable)
        longest = keras.ops.cast(factor, "float32") * keras.ops.maximum(unit_norms(weights), self.epsilon)
        norms = unit_norms(gradient)
        scale = keras.ops.where(keras.ops.isfinite(norms), longest / keras.ops.maximum(norms, longest), 0.0)
        return gradient * keras.ops.cast(scale, gradient.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "epsilon": self.epsilon}


def unit_norms(tensor: Any) -> Any:
    """The L2 norm of each output unit, float32, in a shape that broadcasts: units are the last axis of a kernel."""
    wide = keras.ops.cast(tensor, "float32")
    axes = tuple(range(len(tensor.shape) - 1)) if len(tensor.shape) > 1 else None
    return keras.ops.sqrt(keras.ops.sum(keras.ops.square(wide), axis=axes, keepdims=True))
