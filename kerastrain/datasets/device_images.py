"""Training images that stay where they are computed on, and are cropped and mirrored there; on JAX."""

import dataclasses
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class DeviceImages:
    """How a batch is made of the images on the device: what a compiled step is compiled for.

    crop: pixels of reflected padding.
    size: height and width of the images.
    resized: what they are resized to.
    """

    crop: int
    size: tuple[int, int]
    resized: tuple[int, int]

    @staticmethod
    def places(rows: np.ndarray, offsets: np.ndarray | None, mirrored: np.ndarray) -> np.ndarray:
        """What a batch is on its way to the device: `(batch, 4)` of sample, row, column and whether it is mirrored."""
        if offsets is None:
            offsets = np.zeros((len(rows), 2), np.int32)
        return np.column_stack([rows, offsets, mirrored]).astype(np.int32)

    def batch(self, images: Any, places: Any) -> Any:
        """The images of a batch, those of `kerastrain.preprocessing.random_crop` and `resized`.

        Args:
            images: all of them, `(samples, height, width, channels)`, on the device.
            places: as `places` makes them.
        """
        ops = keras.ops
        height, width = self.size
        sample, row, column, mirrored = (places[:, number] for number in range(4))
        rows = _reflected(row[:, None] + ops.arange(height, dtype="int32") - self.crop, height)
        columns = _reflected(column[:, None] + ops.arange(width, dtype="int32") - self.crop, width)
        columns = ops.where(mirrored[:, None] != 0, ops.flip(columns, axis=1), columns)
        found = images[sample[:, None, None], rows[:, :, None], columns[:, None, :]]
        if self.resized == self.size:
            return found
        smaller = ops.image.resize(
            ops.cast(found, "float32"), self.resized, "bilinear", antialias=True, data_format="channels_last"
        )
        if not keras.backend.is_int_dtype(images.dtype):
            return ops.cast(smaller, images.dtype)
        limits = np.iinfo(str(images.dtype))
        return ops.cast(ops.clip(ops.round(smaller), float(limits.min), float(limits.max)), images.dtype)


def _reflected(index: Any, size: int) -> Any:
    index = keras.ops.abs(index)
    return keras.ops.where(index >= size, 2 * (size - 1) - index, index)
