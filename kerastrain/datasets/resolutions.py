"""Smaller images in the first epochs of a training."""

from collections.abc import Sequence

import keras
import numpy as np

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError


def checked_resolutions(value: Sequence[Sequence[int]], images: np.ndarray | None) -> tuple[tuple[int, int], ...]:
    """The pairs `(side, epochs)`, checked against the images that they are made of.

    Raises:
        InputError: they are something else, or larger than the images.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError(f"`resolutions` must be pairs (side, epochs). Received: {value!r}.")
    stages = []
    for place, stage in enumerate(value):
        if isinstance(stage, str) or not isinstance(stage, Sequence) or len(stage) != 2:
            raise InputError(f"`resolutions[{place}]` must be a pair (side, epochs). Received: {stage!r}.")
        side, epochs = (whole_number(f"resolutions[{place}][{index}]", number) for index, number in enumerate(stage))
        if images is None or images.ndim != 4:
            raise InputError("`resolutions` are for images (samples, height, width, channels). Received: others.")
        if side > min(images.shape[1:3]):
            raise InputError(
                f"`resolutions[{place}]` must be at most the shorter side of the images, {min(images.shape[1:3])}. "
                f"Received: {side}."
            )
        stages.append((side, epochs))
    return tuple(stages)


def size_in(epoch: int, resolutions: Sequence[tuple[int, int]], size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the images in an epoch: the shorter side is the stage's, the other one in proportion."""
    for side, epochs in resolutions:
        if epoch < epochs:
            height, width = (max(1, round(length * side / min(size))) for length in size)
            return height, width
        epoch -= epochs
    return size


def resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images of that height and width, by Keras's bilinear resizing with antialiasing, in the dtype they have."""
    if images.shape[1:3] == size:
        return images
    found = keras.ops.image.resize(
        images.astype(np.float32), size, interpolation="bilinear", antialias=True, data_format="channels_last"
    )
    pixels = keras.ops.convert_to_numpy(found)
    if not np.issubdtype(images.dtype, np.integer):
        return pixels.astype(images.dtype)
    limits = np.iinfo(images.dtype)
    return np.clip(np.rint(pixels), limits.min, limits.max).astype(images.dtype)
