"""Ten shapes and textures as signed distances: negative inside, positive outside, zero on the outline.

Each function takes coordinates (x, y) in which the shape has a radius of about 1 and stands upright. Only sums,
products, roots and comparisons are used: IEEE 754 rounds those the same on every machine.
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

_FREQUENCY = 1.6  # texture periods per radius


def directions(count: int, start: float = 90.0) -> list[tuple[float, float]]:
    """`count` unit vectors, evenly around the circle from `start` degrees."""
    degrees = [start + 360.0 * index / count for index in range(count)]
    return [(rounded_cosine(angle), rounded_cosine(angle - 90.0)) for angle in degrees]


def rounded_cosine(degrees: float) -> float:
    """The cosine to 20 binary places, since the last places of a cosine differ from one machine to the next."""
    return float(np.round(np.cos(np.deg2rad(degrees)) * 2**20) / 2**20)


def _length(x: Plane, y: Plane) -> Plane:
    return np.sqrt(x * x + y * y)


def _box(x: Plane, y: Plane, half_width: float, half_height: float) -> Plane:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _largest(planes: Iterable[Plane]) -> Plane:
    return np.maximum.reduce(list(planes))


def _wave(x: Plane) -> Plane:
    """Stripes across x: signed distance to the nearest edge."""
    phase = x * _FREQUENCY
    return (np.abs(phase - np.floor(phase) - 0.5) - 0.25) / _FREQUENCY


def disk(x: Plane, y: Plane) -> Plane:
    return _length(x, y) - 0.9


def square(x: Plane, y: Plane) -> Plane:
    return _box(x, y, 0.8, 0.8)


def triangle(x: Plane, y: Plane) -> Plane:
    return _largest(a * x + b * y for a, b in directions(3)) - 0.55


def cross(x: Plane, y: Plane) -> Plane:
    return np.minimum(_box(x, y, 1.0, 0.3), _box(x, y, 0.3, 1.0))


def ring(x: Plane, y: Plane) -> Plane:
    return np.abs(_length(x, y) - 0.75) - 0.22


def crescent(x: Plane, y: Plane) -> Plane:
    return np.maximum(_length(x, y) - 1.0, 0.8 - _length(x - 0.55, y))


def star(x: Plane, y: Plane) -> Plane:
    """Five points: inside all but at most one of the five half-planes of its inner pentagon."""
    sides = np.stack([a * x + b * y for a, b in directions(5)])
    return np.partition(sides, 3, axis=0)[3] - 0.38


def stripes(x: Plane, y: Plane) -> Plane:
    return _wave(x)


def checkerboard(x: Plane, y: Plane) -> Plane:
    columns, rows = _wave(x), _wave(y)
    return np.maximum(np.minimum(columns, rows), -np.maximum(columns, rows))


def dots(x: Plane, y: Plane) -> Plane:
    column, row = x * _FREQUENCY, y * _FREQUENCY
    nearest = _length(column - np.floor(column) - 0.5, row - np.floor(row) - 0.5)
    return (nearest - 0.28) / _FREQUENCY


SHAPES: tuple[Callable[[Plane, Plane], Plane], ...] = (
    disk,
    square,
    triangle,
    cross,
    ring,
    crescent,
    star,
    stripes,
    checkerboard,
    dots,
)
