"""Uncorrelated features of variance 1 that still look like the inputs."""

from typing import Any

import keras
import numpy as np

from kerastrain._core.registry import NonNegativeFloat
from kerastrain.layers.preprocessing.whitening_layer import WhiteningLayer
from kerastrain.preprocessing.whitening import zca_whitening_matrix


@keras.saving.register_keras_serializable(package="kerastrain")
class ZCAWhitening(WhiteningLayer):
    """The whitening that changes the data least: PCA whitening, rotated back.

    `y = (x - mean) V diag(lambda + epsilon)^(-1/2) V^T`, lambda and V the eigenvalues and eigenvectors of the
    covariance

    An image stays an image, with its edges pronounced, so that a convolutional network can follow. Keras's
    `ImageDataGenerator` had it as an option, in memory; it is gone. `PCAWhitening` can keep fewer axes.

    Args:
        epsilon: added to the eigenvalues, a number >= 0; 0.1 is usual for images scaled to [0, 1] or to variance 1,
            where the last axes are noise.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor `(batch, ..., features)` of known shape.

    Output shape: that of the inputs.

    State: `mean` `(features,)` and `matrix` `(features, features)`, float32, not trained; 38 MB for 32x32x3 images.

    Raises:
        InputError: data that do not vary along an axis, at `epsilon=0`; called before `adapt`.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(1000, 2)) @ [[3.0, 1.0], [0.0, 0.1]]
    >>> y = keras.ops.convert_to_numpy(ZCAWhitening().adapt(x)(x))
    >>> np.cov(y, rowvar=False).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Reference: Krizhevsky, 2009, Learning multiple layers of features from tiny images, appendix A; Kessy, Lewin and
    Strimmer, 2018, arXiv:1512.00809.
    """

    def __init__(self, epsilon: NonNegativeFloat = 0.0, **kwargs: Any) -> None:
        super().__init__(epsilon, **kwargs)

    def columns(self, features: int) -> int:
        return features

    def matrix_of(self, covariance: np.ndarray, rounding: np.ndarray) -> np.ndarray:
        return zca_whitening_matrix(covariance, self.epsilon, rounding)

    def transformed(self, inputs: Any) -> Any:
        return keras.ops.reshape(self.whitened(inputs), (-1, *inputs.shape[1:]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
