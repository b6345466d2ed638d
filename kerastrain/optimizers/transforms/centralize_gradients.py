"""Gradients of mean zero."""

from collections.abc import Sequence
from typing import Any

import keras

from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class CentralizeGradients(GradientTransform):
    """Gradient centralization: the mean over a unit's inputs is taken off each unit's gradient.

    `g_i <- g_i - mean(g_i)` for each unit i: a column of a dense kernel, a filter of a convolution. Vectors and scalars
    (biases, scales) stay as they are.

    It constrains each unit's weights to a hyperplane, which smooths training with SGD; it does little under Adam. Keras
    has nothing of the kind (its examples once had it as a subclass of one optimizer).

    State: none.

    Example:

    >>> CentralizeGradients().get_config()
    {}

    Reference: Yong, Huang, Hua and Zhang, 2020, Gradient centralization, arXiv:2004.01461, equation 1.
    """

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        return [self._centralized(gradient) for gradient in gradients]

    def _centralized(self, gradient: Any) -> Any:
        rank = len(gradient.shape)
        if rank < 2:
            return gradient
        return gradient - keras.ops.mean(gradient, axis=tuple(range(rank - 1)), keepdims=True)
