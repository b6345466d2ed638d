"""Keras's convolution, with a faster gradient of its filters on small images."""

from typing import Any

import keras

from kerastrain._core import small_convolution


@keras.saving.register_keras_serializable(package="kerastrain")
class SmallImageConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, whose filter gradient on images of up to 64 pixels is computed as a convolution.

    `dL/dk[m, n, c, f] = sum over b, i, j of x[b, i + m, j + n, c] dL/dy[b, i, j, f]`

    which is the images, channels and samples exchanged, convolved with the gradient of the outputs. Same arguments,
    weights and results, to rounding: sums of bfloat16 are kept in float32 here. TensorFlow's kernel for it takes up to
    three times as long on images of 3x3 and half again on images of 7x7, in bfloat16 on a processor with
    `avx512_bf16` and without AMX, and in float32 by oneDNN on one with AVX2 and neither AVX-512 nor AVX-VNNI. There,
    with strides and dilation of 1, one group and channels last it is taken, for images of up to 8x8; everywhere else
    it is Keras's own computation.

    Args:
        filters: as `keras.layers.Conv2D`.
        kernel_size: as `keras.layers.Conv2D`.
        **kwargs: what else `keras.layers.Conv2D` takes.

    Call arguments:
        inputs: a tensor `(batch, height, width, channels)`.

    Output shape: `keras.layers.Conv2D`'s.

    State: `kernel`, and `bias` unless `use_bias=False`.

    Raises:
        ValueError: what Keras's layer refuses.

    Example:

    >>> layer = SmallImageConv2D(4, 3, padding="same")
    >>> layer(keras.ops.ones((2, 7, 7, 3))).shape == (2, 7, 7, 4)
    True

    Reference: Goodfellow et al., 2016, Deep learning, section 9.5 (the gradients of a convolution).
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], **kwargs: Any) -> None:
        super().__init__(filters, kernel_size, **kwargs)

    def call(self, inputs: Any) -> Any:
        plain = (
            all(step == 1 for step in (*self.strides, *self.dilation_rate))
            and self.groups == 1
            and self.data_format == "channels_last"
            and self.padding in ("same", "valid")
        )
        if not plain or not small_convolution.can_convolve(inputs):
            return super().call(inputs)
        bias = self.bias if self.use_bias else None
        outputs = small_convolution.convolved(inputs, self.kernel, bias, self.padding)
        return outputs if self.activation is None else self.activation(outputs)
