"""A convolution by kernels of 3x3 with fewer multiplications, out of matrix products (Winograd's minimal filtering).

`m` neighbouring outputs of a filter of 3 taps take `3 m` multiplications, or `m + 2` where inputs and filter are turned
into the values of polynomials at `m + 2` points, multiplied there, and turned back (Toom and Cook): with small constant
matrices `A`, `G` and `B`, `outputs = A ((G filter) * (B inputs))`. Along both axes of an image these are products of
matrices, and so is what is between them, the sum over channels, which takes the time.

Sources: Winograd, 1980, Arithmetic complexity of computations; Lavin and Gray, 2016, Fast algorithms for convolutional
neural networks, arXiv:1509.09308. That the points decide about rounding: Barabasz et al., 2020, Error analysis and
improving the accuracy of Winograd convolution for deep neural networks, arXiv:1803.10986.
"""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np

from kerastrain._core import accelerator, machine, onednn

TAPS = 3
# By the outputs of a tile, half of its points; the others are their negatives, 0 where that makes an odd number, and
# infinity. Found numerically, as those of which the outputs' variance of rounding is least, where each product is off
# by as much of its size as any other.
_POINTS = {
    2: (1.0,),
    3: (0.382, 1.279),
    4: (0.651, 1.535),
    5: (0.285, 0.848, 1.767),
    6: (0.506, 1.0, 1.978),
    7: (0.232, 0.676, 1.126, 2.179),
    8: (0.421, 0.809, 1.236, 2.378),
}
# What the points of another tile may be more of, if it is smaller, whose rounding is.
_MORE_POINTS = 1.1
# Of fewer images the transform of the kernel is what takes the time.
FEWEST_IMAGES = 16


def pays(images: Any, filters: int) -> bool:
    """Whether it was measured to be faster for this backend, this processor and images of this shape and dtype.

    The time between the matrices goes by `channels * filters`, that of the matrices by their sum.
    """
    if isinstance(images, keras.KerasTensor) or len(images.shape) != 4 or None in images.shape[1:]:
        return False
    # What is remembered first: a layer that is called eagerly asks at every call.
    if keras.backend.standardize_dtype(images.dtype) != "float32" or not _is_measured():
        return False
    batch, height, width, channels = images.shape
    if batch is not None and batch < FEWEST_IMAGES:
        return False
    side = max(height, width)
    least: float = {"tensorflow": max(16, side), "torch": 32, "jax": 8}[keras.backend.backend()]
    if keras.backend.backend() == "tensorflow" and not onednn.in_use():
        # Eigen's products of small matrices are slower, and its convolutions not by as much.
        least = 32 if side <= 16 else float("inf")
    return channels * filters >= least * (channels + filters) and not _elsewhere()


@functools.cache
def _is_measured() -> bool:
    # With AVX-512 the kernels are others, of which nothing is known here.
    flags = machine.cpu_flags()
    return "avx2" in flags and "avx512f" not in flags


def _elsewhere() -> bool:
    """Whether the images are on an accelerator, or each device has some of them."""
    return accelerator.device_name() is not None or keras.distribution.distribution() is not None


def convolved(images: Any, kernel: Any, padding: str) -> Any:
    """The images convolved with a kernel by strides of 1: `(batch, height, width, filters)`.

    Args:
        images: `(batch, height, width, channels)`, float32, of known height, width and channels.
        kernel: `(3, 3, channels, filters)`, float32.
        padding: `"same"` or `"valid"`.
    """
    _, height, width, channels = images.shape
    filters = kernel.shape[-1]
    down, across = (_transforms(side, padding) for side in (height, width))
    kernels = _product(down.filter, keras.ops.reshape(kernel, (TAPS, -1)))
    kernels = _product(across.filter, keras.ops.reshape(kernels, (down.points, TAPS, -1)))
    kernels = keras.ops.reshape(kernels, (down.points, 1, across.points, channels, filters))
    # Samples and channels last: each axis of the images is that of a product, without moving anything again.
    values = keras.ops.transpose(images, (1, 2, 0, 3))
    values = _product(down.inputs, keras.ops.reshape(values, (height, -1)))
    values = _product(across.inputs, keras.ops.reshape(values, (down.points * down.tiles, width, -1)))
    values = keras.ops.reshape(values, (down.points, down.tiles, across.points, -1, channels))
    values = keras.ops.matmul(values, kernels)  # Tiles across and samples are its rows.
    values = keras.ops.reshape(values, (down.points * down.tiles, across.points * across.tiles, -1))
    values = _product(across.outputs, values)
    values = _product(down.outputs, keras.ops.reshape(values, (down.points * down.tiles, -1)))
    values = keras.ops.reshape(values, (len(down.outputs), len(across.outputs), -1, filters))
    return keras.ops.transpose(values, (2, 0, 1, 3))


def _product(matrix: np.ndarray, values: Any) -> Any:
    return keras.ops.matmul(keras.ops.convert_to_tensor(matrix, "float32"), values)


@dataclasses.dataclass(frozen=True)
class _Transforms:
    """The matrices along one axis of images. Points come before tiles where an axis has both."""

    tiles: int
    points: int
    inputs: np.ndarray  # (points * tiles, side); padding is in it, as places without a column
    filter: np.ndarray  # (points, 3)
    outputs: np.ndarray  # (outputs, points * tiles)


@functools.cache
def _transforms(side: int, padding: str) -> _Transforms:
    before = (TAPS - 1) // 2 if padding == "same" else 0
    length = side if padding == "same" else side - TAPS + 1
    tile = tile_for(length)
    tiles, points = -(-length // tile), tile + TAPS - 1
    outputs_of, filter_of, inputs_of = matrices(tile)
    inputs, outputs = np.zeros((points, tiles, side)), np.zeros((length, points, tiles))
    for number in range(tiles):
        start = number * tile
        places = np.arange(start, start + points) - before
        inside = (places >= 0) & (places < side)
        inputs[:, number, places[inside]] = inputs_of[:, inside]
        outputs[start : start + tile, :, number] = outputs_of[: length - start]
    return _Transforms(tiles, points, inputs.reshape(-1, side), filter_of, outputs.reshape(length, -1))


def tile_for(length: int) -> int:
    """How many outputs of an axis of `length` make a tile: as of the fewest points in all, or fewer of hardly more."""
    points = {tile: -(-length // tile) * (tile + TAPS - 1) for tile in _POINTS}
    return min(tile for tile, count in points.items() if count <= _MORE_POINTS * min(points.values()))


@functools.cache
def matrices(tile: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`A (tile, points)`, `G (points, 3)`, `B (points, points)`: `A ((G filter) * (B inputs))` are a tile's outputs."""
    half = np.array(_POINTS[tile])
    finite = np.concatenate([half, -half, np.zeros(tile + TAPS - 2 - 2 * len(half))])
    count = len(finite) + 1
    outputs, taps, inputs = np.zeros((tile, count)), np.zeros((count, TAPS)), np.zeros((count, count))
    for place, point in enumerate(finite):
        others = np.delete(finite, place)
        outputs[:, place] = point ** np.arange(tile)
        taps[place] = point ** np.arange(TAPS) / np.prod(point - others)
        inputs[place, :-1] = np.poly(others)[::-1]
    # At infinity a polynomial is its highest coefficient.
    outputs[-1, -1] = taps[-1, -1] = 1
    inputs[-1] = np.poly(finite)[::-1]
    # Of the three factors of each point none is larger than the others, whatever its unit.
    sizes = np.stack([np.linalg.norm(outputs, axis=0), np.linalg.norm(taps, axis=1), np.linalg.norm(inputs, axis=1)])
    by_outputs, by_taps, by_inputs = np.cbrt(sizes.prod(axis=0)) / sizes
    return outputs * by_outputs, taps * by_taps[:, None], inputs * by_inputs[:, None]
