"""Keras's max pooling with a gradient of one pass, on TensorFlow too."""

from typing import Any

import keras

from kerastrain._core import max_pool


@keras.saving.register_keras_serializable(package="kerastrain")
class FusedMaxPooling2D(keras.layers.MaxPooling2D):
    """`keras.layers.MaxPooling2D`, whose gradient on TensorFlow walks over the images once.

    `y[b, i, j, c] = max over the window of x[b, p i + m, q j + n, c]`, and the gradient goes to the first of the
    largest.

    Same arguments, outputs and gradients, to the last bit. On a processor TensorFlow's kernel for the gradient looks up
    window by window, on one core, and takes as long as the convolution in front of it; where windows do not overlap it
    is one comparison for each value. On JAX and torch, on accelerators, for strides that are not the pool's size, for
    windows of more than 16 values, with padding or channels first, it is Keras's own computation.

    Args:
        pool_size: height and width of the window, an int for both.
        **kwargs: what else `keras.layers.MaxPooling2D` takes: strides, padding, data_format, name, dtype.

    Call arguments:
        inputs: a tensor `(batch, height, width, channels)`.

    Output shape: `(batch, height // pool_size, width // pool_size, channels)`.

    State: none.

    Raises:
        ValueError: what Keras's layer refuses.

    Example:

    >>> layer = FusedMaxPooling2D(2)
    >>> x = keras.ops.reshape(keras.ops.convert_to_tensor([1.0, 4.0, 3.0, 2.0]), (1, 2, 2, 1))
    >>> float(keras.ops.squeeze(layer(x)))
    4.0

    Reference: Zhou and Chellappa, 1988, Computation of optical flow using a neural network.
    """

    def __init__(self, pool_size: int | tuple[int, int] = 2, **kwargs: Any) -> None:
        super().__init__(pool_size=pool_size, **kwargs)

    def call(self, inputs: Any) -> Any:
        plain = self.padding == "valid" and self.data_format == "channels_last"
        pool_size = tuple(self.pool_size)
        if plain and tuple(self.strides) == pool_size and max_pool.can_pool(inputs, pool_size):
            return max_pool.max_pool(inputs, pool_size)
        return super().call(inputs)
