"""Uncorrelated features of variance 1, along the principal axes."""

import math
from typing import Any

import keras
import numpy as np

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeFloat, PositiveInt
from kerastrain.layers.preprocessing.whitening_layer import WhiteningLayer
from kerastrain.preprocessing.whitening import pca_whitening_matrix


@keras.saving.register_keras_serializable(package="kerastrain")
class PCAWhitening(WhiteningLayer):
    """Projects on the principal axes of the data, and divides by the deviation along each.

    `y = (x - mean) V_k diag(lambda_k + epsilon)^(-1/2)`, V_k the eigenvectors of the k largest eigenvalues lambda of
    the covariance: the outputs are uncorrelated and have variance 1 on the data that were seen

    `sklearn.decomposition.PCA(components, whiten=True)` as a layer that is saved inside the model, for data larger than
    memory. Inputs of several axes (images) are flattened; `ZCAWhitening` gives images back. Keras has nothing of the
    kind.

    Args:
        components: k, a whole number from 1 to the number of features; None for all.
        epsilon: added to the eigenvalues, a number >= 0: lifts axes along which the data hardly vary, which are noise
            blown up without it.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor `(batch, ..., features)` of known shape.

    Output shape: `(batch, components)`.

    State: `mean` `(features,)` and `matrix` `(features, components)`, float32, not trained.

    Raises:
        InputError: more components than features; data that do not vary along an axis that is kept, at `epsilon=0`;
            called before `adapt`.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(1000, 2)) @ [[3.0, 1.0], [0.0, 0.1]]
    >>> y = keras.ops.convert_to_numpy(PCAWhitening().adapt(x)(x))
    >>> np.cov(y, rowvar=False).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Reference: Varma, Module I, "Whitening"; Kessy, Lewin and Strimmer, 2018, arXiv:1512.00809, table 1.
    """

    def __init__(self, components: PositiveInt | None = None, epsilon: NonNegativeFloat = 0.0, **kwargs: Any) -> None:
        super().__init__(epsilon, **kwargs)
        self.components = None if components is None else whole_number("components", components)

    def columns(self, features: int) -> int:
        if self.components is not None and self.components > features:
            raise InputError(f"`components` must be at most {features}, the features. Received: {self.components}.")
        return self.components or features

    def matrix_of(self, covariance: np.ndarray, rounding: np.ndarray) -> np.ndarray:
        return pca_whitening_matrix(covariance, self.components, self.epsilon, rounding)

    def transformed(self, inputs: Any) -> Any:
        return self.whitened(inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, int]:
        return (input_shape[0], self.columns(math.prod(input_shape[1:])))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "components": self.components}
