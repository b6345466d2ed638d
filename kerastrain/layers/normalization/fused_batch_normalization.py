"""Keras's batch normalization in one kernel, on TensorFlow too."""

from typing import Any

import keras

from kerastrain._core import fused_batch_norm


@keras.saving.register_keras_serializable(package="kerastrain")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, computed on TensorFlow by its fused kernel.

    `y = gamma * (x - mu) / sqrt(sigma^2 + epsilon) + beta`

    Same arguments, weights and results (to rounding). Keras's layer on TensorFlow casts the whole activation to float32
    and takes a dozen operations, each a walk over memory; the fused kernel reads bfloat16 and float16 as they are, and
    keeps its sums, scale and statistics in float32. On JAX and torch, for inputs that are not
    `(batch, height, width, channels)`, and with `renorm`, `synchronized` or a mask, it is Keras's own computation.

    Args:
        axis: of the channels; the last one for the fused kernel.
        momentum: how much of the moving statistics stays at each step, in [0, 1].
        epsilon: added to the variance.
        **kwargs: what else `keras.layers.BatchNormalization` takes. `scale=False` freezes gamma at 1.

    Call arguments:
        inputs: a tensor, of rank 4 and channels last for the fused kernel.
        training: whether the batch's own statistics are used, and the moving ones moved.
        mask: as Keras's layer takes it.

    Output shape: that of the inputs.

    State: `gamma`, `beta`, and not trained `moving_mean`, `moving_variance`, each `(channels,)`.

    Raises:
        ValueError: what Keras's layer refuses.

    Example:

    >>> layer = FusedBatchNormalization(epsilon=1e-6)
    >>> x = keras.ops.reshape(keras.ops.convert_to_tensor([1.0, 3.0]), (2, 1, 1, 1))
    >>> [round(float(y), 2) for y in keras.ops.reshape(layer(x, training=True), (-1,))]
    [-1.0, 1.0]

    Reference: Ioffe and Szegedy, 2015, Batch normalization, arXiv:1502.03167, algorithms 1 and 2.
    """

    def __init__(self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None or not self._fits(inputs):
            return super().call(inputs, training=training, mask=mask)
        batch = bool(training and self.trainable)
        outputs, mean, variance = fused_batch_norm.normalized(
            inputs,
            gamma=self.gamma,
            beta=self.beta,
            moving=None if batch else (self.moving_mean, self.moving_variance),
            epsilon=self.epsilon,
        )
        if batch:
            for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + keras.ops.cast(found, moving.dtype) * (1.0 - self.momentum))
        return keras.ops.cast(outputs, self.compute_dtype)

    def _fits(self, inputs: Any) -> bool:
        plain = not (self.renorm or self.synchronized)
        return plain and self.axis in (-1, 3) and fused_batch_norm.can_normalize(inputs, self.epsilon)
