"""The gradient of max pooling in one pass, where TensorFlow's kernel on a processor scatters window by window.

That kernel takes as long as the convolution in front of it. Windows that do not overlap need no scattering: each value
of the gradient has one place in its window, so all of it is one loop, which XLA compiles; to the same bits.
"""

import functools
import importlib
import math
from collections.abc import Callable
from typing import Any

import keras

from kerastrain._core import accelerator
from kerastrain._core.one_pass import xla_is_there

# Each place of a window is one comparison.
_LARGEST_WINDOW = 16


def can_pool(inputs: Any, pool_size: tuple[int, int]) -> bool:
    """Whether it is for this backend, this device and these inputs."""
    if keras.backend.backend() != "tensorflow" or isinstance(inputs, keras.KerasTensor):
        return False
    fits = len(inputs.shape) == 4 and math.prod(pool_size) <= _LARGEST_WINDOW
    return fits and accelerator.device_name() is None and xla_is_there()


def max_pool(inputs: Any, pool_size: tuple[int, int]) -> Any:
    """The largest of each window `pool_size` of images `(batch, height, width, channels)`, next to one another."""
    return _differentiable(pool_size)(inputs)


@functools.cache
def _differentiable(pool_size: tuple[int, int]) -> Callable[[Any], Any]:
    tensorflow: Any = importlib.import_module("tensorflow")
    backwards = tensorflow.function(functools.partial(_gradient, pool_size), jit_compile=True, autograph=False)

    def pooled(x: Any) -> Any:
        y = tensorflow.nn.max_pool2d(x, pool_size, pool_size, "VALID")
        return y, lambda gradient: backwards(x, y, gradient)

    found: Callable[[Any], Any] = tensorflow.custom_gradient(pooled)
    return lambda x: found(tensorflow.convert_to_tensor(x))


def _gradient(pool_size: tuple[int, int], x: Any, y: Any, gradient: Any) -> Any:
    """To the first largest value of each window the window's gradient, as TensorFlow's own kernel gives it."""
    tensorflow: Any = importlib.import_module("tensorflow")
    rows, columns = pool_size
    # Sizes by operations, for they may be open when this is traced; XLA knows them when it compiles.
    _, height, width, channels = tensorflow.unstack(tensorflow.shape(x))
    _, high, wide, _ = tensorflow.unstack(tensorflow.shape(y))
    windows = tensorflow.reshape(
        x[:, : high * rows, : wide * columns], tensorflow.stack([-1, high, rows, wide, columns, channels])
    )
    last = rows * columns - 1
    first = tensorflow.fill(tensorflow.shape(y), tensorflow.constant(last, "int8"))
    for place in reversed(range(last)):
        largest = windows[:, :, place // columns, :, place % columns] == y
        first = tensorflow.where(largest, tensorflow.constant(place, "int8"), first)
    places = tensorflow.reshape(tensorflow.range(rows * columns), (1, 1, rows, 1, columns, 1))
    there = first[:, :, None, :, None] == tensorflow.cast(places, "int8")
    moved = tensorflow.where(there, gradient[:, :, None, :, None], tensorflow.zeros((), gradient.dtype))
    images = tensorflow.reshape(moved, tensorflow.stack([-1, high * rows, wide * columns, channels]))
    rest = [[0, 0], [0, height - high * rows], [0, width - wide * columns], [0, 0]]
    return tensorflow.pad(images, rest)
