"""A convolution of small images whose filter gradient is a convolution itself.

In bfloat16, on processors with `avx512_bf16`, TensorFlow's kernel for the gradient of the filters runs at half the
speed of the one for the outputs, and at a sixth on images of 3x3. The gradient is a convolution of the images with the
gradient of the outputs, the samples being its channels; as long as that filter is small, the kernel for outputs is
faster. In float32 `minimal_filtering` is faster than either.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import keras

from kerastrain._core import accelerator, machine

# Height times width; 10x10 is as fast either way, larger images are slower.
LARGEST_AREA = 64
# So many samples at a time: a larger filter no longer fits in the caches.
_CHUNK = 128


def can_convolve(inputs: Any) -> bool:
    """Whether it is for this backend, this processor and these inputs."""
    if keras.backend.backend() != "tensorflow" or isinstance(inputs, keras.KerasTensor) or len(inputs.shape) != 4:
        return False
    # What is remembered first: a layer that is called eagerly asks at every call.
    half = keras.backend.standardize_dtype(inputs.dtype) == "bfloat16"
    return half and _is_measured() and accelerator.device_name() is None


@functools.cache
def _is_measured() -> bool:
    # With AMX the kernels are others, of which nothing is known here.
    flags = machine.cpu_flags()
    return "avx512_bf16" in flags and "amx_bf16" not in flags


def convolved(images: Any, kernel: Any, bias: Any, padding: str) -> Any:
    """The images `(batch, height, width, channels)` convolved with a kernel, by strides of 1, and a bias added.

    Args:
        images: bfloat16.
        kernel: `(rows, columns, channels, filters)`.
        bias: `(filters,)`, or None.
        padding: `"same"` or `"valid"`.
    """
    tensorflow: Any = importlib.import_module("tensorflow")
    # Of variables their values, in the dtype that Keras casts them to here.
    values = [
        tensorflow.cast(tensorflow.convert_to_tensor(value), images.dtype)
        for value in (kernel, *([] if bias is None else [bias]))
    ]
    return _differentiable(padding.upper())(images, *values)


@functools.cache
def _differentiable(padding: str) -> Callable[..., Any]:
    tensorflow: Any = importlib.import_module("tensorflow")

    def convolution(images: Any, kernel: Any, *bias: Any) -> Any:
        def gradients(gradient: Any) -> list[Any]:
            by_images = tensorflow.raw_ops.Conv2DBackpropInput(
                input_sizes=tensorflow.shape(images),
                filter=kernel,
                out_backprop=gradient,
                strides=[1, 1, 1, 1],
                padding=padding,
            )
            # Not by BiasAddGrad, which adds bfloat16 up in bfloat16: of a few thousand values half the sum is lost.
            by_bias = [tensorflow.reduce_sum(gradient, (0, 1, 2)) for _ in bias]
            return [by_images, _by_kernel(images, gradient, kernel, padding), *by_bias]

        outputs = tensorflow.nn.conv2d(images, kernel, 1, padding)
        return (tensorflow.nn.bias_add(outputs, bias[0]) if bias else outputs), gradients

    found: Callable[..., Any] = tensorflow.custom_gradient(convolution)
    return found


def _by_kernel(images: Any, gradient: Any, kernel: Any, padding: str) -> Any:
    tensorflow: Any = importlib.import_module("tensorflow")

    def by_its_kernel() -> Any:
        return tensorflow.raw_ops.Conv2DBackpropFilter(
            input=images,
            filter_sizes=tensorflow.shape(kernel),
            out_backprop=gradient,
            strides=[1, 1, 1, 1],
            padding=padding,
        )

    def by_convolution() -> Any:
        return _chunk_by_chunk(images, gradient, kernel, padding)

    height, width = images.shape[1:3]
    if height is not None and width is not None:
        return by_convolution() if height * width <= LARGEST_AREA else by_its_kernel()
    sizes = tensorflow.shape(images)
    return tensorflow.cond(sizes[1] * sizes[2] <= LARGEST_AREA, by_convolution, by_its_kernel)


def _chunk_by_chunk(images: Any, gradient: Any, kernel: Any, padding: str) -> Any:
    """The gradient by the kernel: `sum over samples and places of images[place + k] gradient[place]`, in float32."""
    tensorflow: Any = importlib.import_module("tensorflow")
    rows, columns, channels, filters = kernel.shape
    sides = [[0, 0], *([(size - 1) // 2, size // 2] for size in (rows, columns)), [0, 0]]
    if padding == "VALID":
        sides = [[0, 0]] * 4
    samples = tensorflow.shape(images)[0]

    def add(start: Any, total: Any) -> tuple[Any, Any]:
        some = slice(start, start + _CHUNK)
        turned = tensorflow.transpose(images[some], (3, 1, 2, 0))
        as_filter = tensorflow.transpose(gradient[some], (1, 2, 0, 3))
        found = tensorflow.nn.conv2d(turned, as_filter, 1, sides)
        return start + _CHUNK, total + tensorflow.cast(found, "float32")

    total = tensorflow.zeros((channels, rows, columns, filters), "float32")
    _, total = tensorflow.while_loop(lambda start, _: start < samples, add, (0, total), parallel_iterations=1)
    return tensorflow.cast(tensorflow.transpose(total, (1, 2, 0, 3)), images.dtype)
