"""What the whitening layers have in common."""

import math
from typing import Any

import keras
import numpy as np

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeFloat
from kerastrain.layers.preprocessing.adapted_layer import AdaptedLayer
from kerastrain.preprocessing.covariance import Covariance


class WhiteningLayer(AdaptedLayer):
    """Base of `PCAWhitening` and `ZCAWhitening`: `(x - mean) W` on flattened features.

    Args:
        epsilon: added to the eigenvalues of the covariance, a number >= 0.
        **kwargs: what `keras.layers.Layer` takes.
    """

    def __init__(self, epsilon: NonNegativeFloat = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = number("epsilon", epsilon, minimum=0)

    def columns(self, features: int) -> int:
        """How many columns W has."""
        raise NotImplementedError

    def matrix_of(self, covariance: np.ndarray, rounding: np.ndarray) -> np.ndarray:
        """W for a covariance `(features, features)`, and the variance that is rounding in each feature."""
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape[1:])
        if not shape or None in shape:
            raise InputError(f"{type(self).__name__} needs inputs of a known shape. Received: {tuple(input_shape)}.")
        features = math.prod(shape)
        columns = self.columns(features)
        self.mean = self.add_statistic("mean", (features,))
        self.matrix = self.add_statistic("matrix", (features, columns))
        self.input_spec = keras.layers.InputSpec(ndim=len(shape) + 1, axes=dict(enumerate(shape, start=1)))
        self.built = True

    def start(self) -> None:
        self._covariance = Covariance()

    def update(self, batch: np.ndarray) -> None:
        self._covariance.update(batch.reshape(len(batch), -1))

    def finish(self) -> list[np.ndarray]:
        mean, covariance = self._covariance.mean, self._covariance.matrix()
        del self._covariance  # As large as the matrix itself.
        # Inputs are float32: what rounding them adds to each feature's variance is no variation of the data.
        rounding = (mean**2 + np.diag(covariance)) * float(np.finfo(np.float32).eps) ** 2
        return [mean, self.matrix_of(covariance, rounding)]

    def whitened(self, inputs: Any) -> Any:
        """`(x - mean) W`, `(batch, columns)`."""
        flat = keras.ops.reshape(inputs, (-1, self.mean.shape[0]))
        mean, matrix = (keras.ops.cast(statistic, inputs.dtype) for statistic in (self.mean, self.matrix))
        return keras.ops.matmul(flat - mean, matrix)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
