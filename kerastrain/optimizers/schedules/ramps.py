"""The way from one value to another."""

import math
from typing import Any

import keras


def ramp(shape: str, start: float, end: float, fraction: Any) -> Any:
    """`start` at fraction 0 and `end` at fraction 1, along a line (`linear`), half a cosine (`cosine`) or a `cubic`.

    `sin(pi f / 2)**2` is `(1 - cos(pi f)) / 2` without its cancellation, so a value near `start` keeps its relative
    precision: count the fraction from the smaller end.
    """
    if shape == "cosine":
        way = keras.ops.square(keras.ops.sin(fraction * (math.pi / 2)))
    else:
        way = fraction * fraction * fraction if shape == "cubic" else fraction
    return start + (end - start) * way
