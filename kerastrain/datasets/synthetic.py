"""CIFAR-shaped images made by drawing: ten shapes and textures under nuisance, without a network."""

import numpy as np
from numpy.typing import NDArray

from kerastrain._core.errors import InputError
from kerastrain.datasets.checked_seed import checked_seed
from kerastrain.datasets.shapes import SHAPES, Plane, rounded_cosine

CLASS_NAMES = tuple(shape.__name__ for shape in SHAPES)

_CHUNK = 100  # images drawn at once, so that the planes stay in the processor's cache
_CLUTTER = 3  # small patches per image
_COSINES = np.array([rounded_cosine(degrees) for degrees in range(360)], np.float32)

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def load_data(train: int = 12_000, test: int = 2_000, seed: int = 0, size: int = 32) -> tuple[Arrays, Arrays]:
    """Draw a training set and a test set of shapes and textures in ten classes, equally often.

    Position, scale, rotation, colors, their contrast and which of them is the brighter, a background that changes
    across the image, patches of clutter and noise are drawn for each image without regard to its class, so that
    neither colors nor mean pixels tell the class. The same arguments give the same bytes on every machine.

    Args:
        train: training images, an int >= 10.
        test: test images, an int >= 10; they do not depend on `train`.
        seed: an int >= 0.
        size: height and width in pixels, an int >= 16.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: uint8 images `(n, size, size, 3)` and uint8 labels `(n,)`, 0 to 9.

    Raises:
        InputError: an argument out of its range.

    Example:

    >>> (x_train, y_train), (x_test, y_test) = load_data(train=100, test=20, seed=1)
    >>> x_train.shape, y_test.shape, CLASS_NAMES[y_train[0]] in CLASS_NAMES
    ((100, 32, 32, 3), (20,), True)
    """
    for name, value, least in (("train", train, 10), ("test", test, 10), ("size", size, 16)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"`{name}` must be an int >= {least}. Received: {name}={value!r}.")
    seeds = np.random.SeedSequence(checked_seed(seed)).spawn(2)
    return _draw(train, size, np.random.default_rng(seeds[0])), _draw(test, size, np.random.default_rng(seeds[1]))


def _draw(count: int, size: int, generator: np.random.Generator) -> Arrays:
    labels = generator.permutation(np.arange(count) % len(SHAPES)).astype(np.uint8)
    images = np.empty((count, size, size, 3), np.uint8)
    for start in range(0, count, _CHUNK):
        images[start : start + _CHUNK] = _draw_chunk(labels[start : start + _CHUNK], size, generator)
    return images, labels


def _draw_chunk(labels: NDArray[np.uint8], size: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    count = len(labels)
    pixel = size / 32
    grid = np.arange(size, dtype=np.float32) + np.float32(0.5)
    x, y = grid[np.newaxis, np.newaxis, :], grid[np.newaxis, :, np.newaxis]

    middle = _uniform(generator, count, 90, 165, 3)
    brighter = generator.integers(0, 2, (count, 1)).astype(np.float32) * 2 - 1
    half = brighter * _uniform(generator, count, 35, 60) + _uniform(generator, count, -20, 20, 3)
    canvas = _background(middle - half, x, y, generator)
    radius = _uniform(generator, count, 8.5, 12.5) * pixel
    u, v = _placed(x, y, radius, 3 * pixel, generator)
    _paint(canvas, _distances(labels, u, v) * radius[:, :, np.newaxis], middle + half)
    for _ in range(_CLUTTER):
        extent = _uniform(generator, count, 0.8, 2.2) * pixel
        u, v = _placed(x, y, extent, 16 * pixel, generator)
        outside = (np.maximum(np.abs(u), np.abs(v)) - 1) * extent[:, :, np.newaxis]
        _paint(canvas, outside, _uniform(generator, count, 30, 225, 3))
    # Two halves of one random byte add up to triangular noise, -15 to 15.
    byte = generator.integers(0, 256, canvas.shape, dtype=np.uint8)
    noise = (byte & 15).astype(np.float32) + (byte >> 4) - 15
    canvas += noise * _uniform(generator, count, 0.3, 1.6)[:, :, np.newaxis, np.newaxis]
    return np.rint(np.clip(canvas, 0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)


def _uniform(generator: np.random.Generator, count: int, low: float, high: float, columns: int = 1) -> Plane:
    """One row per image."""
    return (low + (high - low) * generator.random((count, columns))).astype(np.float32)


def _background(color: Plane, x: Plane, y: Plane, generator: np.random.Generator) -> Plane:
    """Planes `(n, 3, size, size)` of `color` with a slope across the image, of its own for each channel."""
    size = x.shape[-1]
    slope_x, slope_y = (_uniform(generator, len(color), -25, 25, 3)[:, :, np.newaxis, np.newaxis] for _ in range(2))
    middle = np.float32(0.5)
    return color[:, :, np.newaxis, np.newaxis] + slope_x * (x / size - middle) + slope_y * (y / size - middle)


def _placed(x: Plane, y: Plane, radius: Plane, shift: float, generator: np.random.Generator) -> tuple[Plane, Plane]:
    """Pixel coordinates as a shape sees them: from its own center, turned, in units of its radius."""
    count, size = len(radius), x.shape[-1]
    center_x, center_y = (size / 2 + _uniform(generator, count, -shift, shift)[:, :, np.newaxis] for _ in range(2))
    degrees = generator.integers(0, 360, count)
    cosine, sine = (_COSINES[angle % 360][:, np.newaxis, np.newaxis] for angle in (degrees, degrees - 90))
    scale = radius[:, :, np.newaxis]
    from_x, from_y = (x - center_x) / scale, (y - center_y) / scale
    return cosine * from_x + sine * from_y, cosine * from_y - sine * from_x


def _distances(labels: NDArray[np.uint8], u: Plane, v: Plane) -> Plane:
    """Each image's distances to the shape of its class."""
    distances = np.empty_like(u)
    for label, shape in enumerate(SHAPES):
        rows = np.flatnonzero(labels == label)
        distances[rows] = shape(u[rows], v[rows])
    return distances


def _paint(canvas: Plane, distance: Plane, color: Plane) -> None:
    """Blend `color` (one per image) in where `distance`, in pixels, is negative; edges are one pixel soft."""
    cover = np.clip(np.float32(0.5) - distance, 0, 1)[:, np.newaxis]
    canvas += cover * (color[:, :, np.newaxis, np.newaxis] - canvas)
