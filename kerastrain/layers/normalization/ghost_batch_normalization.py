"""Batch normalization by parts of the batch."""

import math
from typing import Any

import keras

from kerastrain._core.checks import whole_number
from kerastrain._core.registry import PositiveInt
from kerastrain.layers.normalization.own_batch_normalization import OwnBatchNormalization


@keras.saving.register_keras_serializable(package="kerastrain")
class GhostBatchNormalization(OwnBatchNormalization):
    """Batch normalization over virtual batches: each part of a large batch by its own mean and variance.

    `y = gamma * (x - mu_k) / sqrt(sigma_k^2 + epsilon) + beta` for the samples of virtual batch k, in training

    The batch is cut, in its order, into `n = ceil(batch / virtual_batch_size)` parts of `ceil(batch / n)` samples; the
    last one may be smaller. The moving statistics move once a step, to the mean over the parts of their means and of
    their variances; at inference it is `keras.layers.BatchNormalization`.

    A large batch has little noise in its statistics, and the noise regularizes: virtual batches give it back, at large
    batch sizes on one device. (On several devices Keras's layer normalizes by device, unless it is `synchronized`,
    which is the same idea.)

    Args:
        virtual_batch_size: samples in a part, at most; a whole number >= 1. The paper takes 128 of 4,096.
        axis: of the channels.
        momentum: how much of the moving statistics stays at each step, in [0, 1].
        epsilon: added to the variance, a number > 0.
        **kwargs: what `keras.layers.BatchNormalization` takes, but for `renorm` and `synchronized`.

    Call arguments:
        inputs: a tensor `(batch, ..., channels)`.
        training: whether the parts' own statistics are used, and the moving ones moved.

    Output shape: that of the inputs.

    State: `gamma`, `beta`, and not trained `moving_mean`, `moving_variance`, each `(channels,)`.

    Raises:
        InputError: a number is out of its range, or an argument that has no meaning here is given.

    Example:

    >>> layer = GhostBatchNormalization(virtual_batch_size=2, epsilon=1e-6)
    >>> x = keras.ops.convert_to_tensor([[1.0], [3.0], [10.0], [30.0]])
    >>> [round(float(y), 2) for y in layer(x, training=True)[:, 0]]
    [-1.0, 1.0, -1.0, 1.0]

    Reference: Hoffer, Hubara and Soudry, 2017, Train longer, generalize better, arXiv:1705.08741, algorithm 1, whose
    moving statistics move once a part instead of once a step.
    """

    def __init__(
        self,
        virtual_batch_size: PositiveInt = 128,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, **kwargs)
        self.virtual_batch_size = whole_number("virtual_batch_size", virtual_batch_size)

    def statistics(self, inputs: Any) -> tuple[Any, Any, Any, Any]:
        batch, *rest = keras.ops.shape(inputs)  # Ints, or tensors where TensorFlow traces inputs of any size.
        parts = -(-batch // self.virtual_batch_size)
        size = -(-batch // parts)
        # No part is empty: `size` is at most `virtual_batch_size`, so it takes as many parts to hold the batch.
        absent = parts * size - batch
        if not isinstance(absent, int) or absent:
            inputs = keras.ops.concatenate([inputs, keras.ops.zeros((absent, *rest), dtype=inputs.dtype)])
        cut = keras.ops.reshape(inputs, (parts, size, *rest))
        there = keras.ops.cast(keras.ops.arange(parts * size) < batch, inputs.dtype)
        there = keras.ops.reshape(there, (parts, size, *(1 for _ in rest)))
        axes = [1, *(axis + 1 for axis in self._axes(inputs) if axis > 0)]
        positions = math.prod(rest[axis - 1] for axis in self._axes(inputs) if axis > 0)
        count = keras.ops.sum(there, axis=1, keepdims=True) * keras.ops.cast(positions, inputs.dtype)
        mean = keras.ops.sum(cut * there, axis=axes, keepdims=True) / count
        variance = keras.ops.sum(keras.ops.square(cut - mean) * there, axis=axes, keepdims=True) / count
        return (
            self._of_each_sample(mean, size, batch),
            self._of_each_sample(variance, size, batch),
            keras.ops.reshape(keras.ops.mean(mean, axis=0), (-1,)),
            keras.ops.reshape(keras.ops.mean(variance, axis=0), (-1,)),
        )

    def _of_each_sample(self, statistic: Any, size: Any, batch: Any) -> Any:
        """`(parts, 1, ...)` -> `(batch, ...)`: each sample has its part's."""
        return keras.ops.take(keras.ops.squeeze(statistic, axis=1), keras.ops.arange(batch) // size, axis=0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "virtual_batch_size": self.virtual_batch_size}
