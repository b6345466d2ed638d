"""Keras's convolution, faster on processors."""

import sys
from typing import Any

import keras

from kerastrain._core import minimal_filtering, small_convolution
from kerastrain._core.checks import boolean
from kerastrain._core.errors import InputError


@keras.saving.register_keras_serializable(package="kerastrain")
class SmallImageConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, by Winograd's minimal filtering where that is faster: on processors, in float32.

    `outputs = A ((G kernel) * (B inputs))` along each axis, where inputs and kernel are values of polynomials at the
    points `B` and `G` take them to. Tiles of `m x m` outputs have `(m + 2)^2` multiplications for each channel and
    filter in place of `9 m^2`: of 7x7, 81 in place of 441. Gradients are computed in the same way. Same arguments,
    weights and results, to rounding: a tile of 7x7 is off by 1e-5 of the outputs (root mean square), float32 by
    itself by 2e-7, the TF32 of GPUs by 3e-4.

    By itself (`winograd=None`) it is taken where it was measured to be faster: kernels of 3x3 with strides and dilation
    of 1, one group, channels last, float32, on a processor with AVX2 and without AVX-512, 16 images or more on one
    device, and channels and filters enough. On TensorFlow with oneDNN these are 32 and 32 for images of up to 16x16, 64
    and 64 up to 32x32, 128 and 128 up to 64x64; without oneDNN 64 and 64 up to 16x16; on torch 64 and 64, on JAX 16 and
    16, whatever the size.

    In bfloat16, on TensorFlow on a processor with `avx512_bf16` and without AMX, the gradient of the filters is
    computed as a convolution of the images, channels and samples exchanged, with the gradient of the outputs, on images
    of up to 8x8. Everywhere else it is Keras's own computation.

    Args:
        filters: as `keras.layers.Conv2D`.
        kernel_size: as `keras.layers.Conv2D`.
        winograd: None for where it was measured to be faster; True for everywhere, in half precision by float32 inside;
            False for nowhere.
        **kwargs: what else `keras.layers.Conv2D` takes.

    Call arguments:
        inputs: a tensor `(batch, height, width, channels)`. Where TensorFlow traces a graph for images of any size, in
            which they vary, those of up to 64x64 are looked up when it runs, and larger ones are Keras's own.

    Output shape: `keras.layers.Conv2D`'s.

    State: `kernel`, and `bias` unless `use_bias=False`.

    Raises:
        InputError: `winograd` is neither None nor a boolean; or it is True, and kernel, strides, dilation, groups,
            padding, data format or dtype are not those it is for.
        ValueError: what Keras's layer refuses.

    Example:

    >>> layer = SmallImageConv2D(4, 3, padding="same", winograd=True)
    >>> layer(keras.ops.ones((2, 7, 7, 3))).shape == (2, 7, 7, 4)
    True

    Reference: Lavin and Gray, 2016, Fast algorithms for convolutional neural networks, arXiv:1509.09308.
    """

    def __init__(
        self, filters: int, kernel_size: int | tuple[int, int], *, winograd: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init__(filters, kernel_size, **kwargs)
        self.winograd = None if winograd is None else boolean("winograd", winograd)
        if winograd and self.compute_dtype == "float64":
            raise InputError(
                "`winograd=True` is for float32. Received: dtype='float64'. `winograd=None` computes it as Keras does."
            )
        if winograd and not self._is_three_by_three():
            raise InputError(
                "`winograd=True` is for kernels of 3x3 with strides and dilation of 1, one group, the padding 'same' "
                f"or 'valid' and channels last. Received: kernel_size={self.kernel_size}, strides={self.strides}, "
                f"dilation_rate={self.dilation_rate}, groups={self.groups}, padding={self.padding!r}, "
                f"data_format={self.data_format!r}. `winograd=None` computes others as Keras does."
            )

    def call(self, inputs: Any) -> Any:
        largest = self._largest_by_winograd(inputs)
        size = inputs.shape[1:3]
        if largest and None in size:
            outputs = self._by_size(inputs, min(largest, minimal_filtering.LARGEST_OPEN))
        elif largest and largest >= max(size):
            outputs = self._by_winograd(inputs)
        elif self.winograd is None and self._is_plain() and small_convolution.can_convolve(inputs):
            bias = self.bias if self.use_bias else None
            outputs = small_convolution.convolved(inputs, self.kernel, bias, self.padding)
        else:
            return super().call(inputs)
        return outputs if self.activation is None else self.activation(outputs)

    def _largest_by_winograd(self, inputs: Any) -> int:
        """The largest side of images that are to be convolved so."""
        if self.winograd:
            return sys.maxsize
        measured = self.winograd is None and self._is_three_by_three()
        return minimal_filtering.largest_side(inputs, self.filters) if measured else 0

    def _by_winograd(self, inputs: Any) -> Any:
        images, kernel = (keras.ops.cast(value, "float32") for value in (inputs, self.kernel))
        outputs = minimal_filtering.convolved(images, kernel, self.padding)
        if self.use_bias:
            outputs = keras.ops.add(outputs, keras.ops.cast(self.bias, "float32"))
        return keras.ops.cast(outputs, inputs.dtype)

    def _by_size(self, inputs: Any, largest: int) -> Any:
        """Where the size is only known when the graph runs."""
        _, height, width, _ = keras.ops.shape(inputs)
        fits = keras.ops.logical_and(height <= largest, width <= largest)
        return keras.ops.cond(fits, lambda: self._by_winograd(inputs), lambda: self._by_keras(inputs))

    def _by_keras(self, inputs: Any) -> Any:
        outputs = self.convolution_op(inputs, self.kernel)
        return keras.ops.add(outputs, self.bias) if self.use_bias else outputs

    def _is_plain(self) -> bool:
        return (
            all(step == 1 for step in (*self.strides, *self.dilation_rate))
            and self.groups == 1
            and self.data_format == "channels_last"
            and self.padding in ("same", "valid")
        )

    def _is_three_by_three(self) -> bool:
        return self._is_plain() and set(self.kernel_size) == {minimal_filtering.TAPS}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "winograd": self.winograd}
