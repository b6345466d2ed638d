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
import sys
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
# The largest side of images whose size is not known before they come.
LARGEST_OPEN = 64


def largest_side(images: Any, filters: int) -> int:
    """Of images of this dtype and so many channels, how large the side may be for it to be faster here; 0 for none.

    As it was measured for the backend and processors of this kind. The time between the matrices goes by
    `channels * filters`, that of the matrices by their sum.
    """
    if isinstance(images, keras.KerasTensor) or len(images.shape) != 4:
        return 0
    # What is remembered first: a layer that is called eagerly asks at every call.
    if keras.backend.standardize_dtype(images.dtype) != "float32" or not _is_measured():
        return 0
    batch, *_, channels = images.shape
    if (batch is not None and batch < FEWEST_IMAGES) or _elsewhere():
        return 0
    ratio = channels * filters / (channels + filters)
    if keras.backend.backend() != "tensorflow":
        return sys.maxsize if ratio >= {"torch": 32, "jax": 8}[keras.backend.backend()] else 0
    if onednn.in_use():
        return int(ratio) if ratio >= 16 else 0
    # Eigen's products of small matrices are slower, and its convolutions not by as much.
    return 16 if ratio >= 32 else 0


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
        images: `(batch, height, width, channels)`, float32; on TensorFlow also of a height and width that are only
            known when the graph runs, of up to `LARGEST_OPEN` each.
        kernel: `(3, 3, channels, filters)`, float32.
        padding: `"same"` or `"valid"`.
    """
    _, height, width, channels = images.shape
    filters = kernel.shape[-1]
    if height is None or width is None:
        _, height, width, _ = keras.ops.shape(images)
        down, across = (_looked_up(side, padding) for side in (height, width))
    else:
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
    values = keras.ops.reshape(values, (down.length, across.length, -1, filters))
    return keras.ops.transpose(values, (2, 0, 1, 3))


def _product(matrix: Any, values: Any) -> Any:
    return keras.ops.matmul(keras.ops.convert_to_tensor(matrix, "float32"), values)


@dataclasses.dataclass(frozen=True)
class _Transforms:
    """The matrices along one axis of images. Points come before tiles where an axis has both."""

    length: Any  # of the outputs
    tiles: Any
    points: Any
    inputs: Any  # (points * tiles, side); padding is in it, as places without a column
    filter: Any  # (points, 3)
    outputs: Any  # (length, points * tiles)


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
    return _Transforms(length, tiles, points, inputs.reshape(-1, side), filter_of, outputs.reshape(length, -1))


def _looked_up(side: Any, padding: str) -> _Transforms:
    """Those of a side that is a tensor, out of a table of all."""
    ops = keras.ops
    numbers, arrays = _table(padding)
    starts, sizes = (ops.take(ops.convert_to_tensor(table), side, axis=0) for table in numbers)
    length, tiles, points = (sizes[place] for place in range(3))
    shapes = {"inputs": (points * tiles, side), "filter": (points, TAPS), "outputs": (length, points * tiles)}
    found = {}
    for place, (name, (rows, columns)) in enumerate(shapes.items()):
        chosen = ops.arange(starts[place], starts[place] + rows * columns, dtype="int32")
        found[name] = ops.reshape(ops.take(ops.convert_to_tensor(arrays[place]), chosen, axis=0), (rows, columns))
    return _Transforms(length, tiles, points, **found)


@functools.cache
def _table(padding: str) -> tuple[tuple[np.ndarray, np.ndarray], list[np.ndarray]]:
    """By side, where its matrices start in three long vectors, and its length, tiles and points; and the vectors."""
    starts, sizes = np.zeros((2, LARGEST_OPEN + 1, 3), np.int32)
    vectors: list[list[np.ndarray]] = [[], [], []]
    for side in range(1 if padding == "same" else TAPS, LARGEST_OPEN + 1):
        found = _transforms(side, padding)
        starts[side] = [sum(map(len, vector)) for vector in vectors]
        sizes[side] = found.length, found.tiles, found.points
        for vector, matrix in zip(vectors, (found.inputs, found.filter, found.outputs), strict=True):
            vector.append(np.float32(matrix).ravel())
    return (starts, sizes), [np.concatenate(vector) for vector in vectors]


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
