"""What images and labels must look like, whatever file they came from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerastrain.datasets.bad_data import bad_data

Images = NDArray[np.uint8]
Labels = NDArray[np.int32]


def checked_images(array: NDArray[Any], file: object, field: str) -> Images:
    """`array` as uint8 images `(n, height, width, channels)`; grey images `(n, height, width)` get a channel.

    Raises:
        InputError: another dtype (a float is refused, never guessed at), another shape, or no images.
    """
    if array.dtype != np.uint8:
        received, remedy = _other_dtype(array)
        raise bad_data(file, field, "uint8 images with values 0..255", received, remedy)
    if array.ndim == 3:
        array = array[..., np.newaxis]
    expected = "images of shape (n, height, width, 1 or 3) or (n, height, width)"
    if array.ndim != 4:
        raise bad_data(file, field, expected, f"shape {array.shape}", "Reshape the array before saving it.")
    if array.size == 0:
        raise bad_data(file, field, "at least one image", f"shape {array.shape}")
    if array.shape[-1] not in (1, 3):
        channels_first = array.shape[1] in (1, 3)
        remedy = "Use np.moveaxis(images, 1, -1)." if channels_first else "Keep the red, green and blue channels."
        raise bad_data(file, field, expected, f"shape {array.shape}", remedy)
    return np.ascontiguousarray(array)


def _other_dtype(array: NDArray[Any]) -> tuple[str, str]:
    received = f"dtype {array.dtype}"
    if array.dtype.kind == "f" and array.size:
        if not np.isfinite(array).all():
            return f"{received} with NaN or infinite values", "Find out where they come from first."
        low, high = float(array.min()), float(array.max())
        received += f" in [{low:g}, {high:g}]"
        scaled = "images * 255" if low >= 0 and high <= 1 else "images"
        return received, f"Save np.round({scaled}).astype(np.uint8), if that is what the values mean."
    return received, "Save the images as uint8, for instance by images.astype(np.uint8)."


def checked_labels(array: NDArray[Any], images: int, file: object, field: str) -> Labels:
    """`array` as int32 labels `(n,)`; `(n, 1)`, as Keras's data sets have it, is flattened.

    Raises:
        InputError: not integers, another shape, negative, or not as many as there are `images`.
    """
    if array.dtype.kind not in "iu":
        remedy = "Save whole numbers 0, 1, ... with an integer dtype."
        if array.dtype.kind == "f" and array.size and not np.isfinite(array).all():
            raise bad_data(file, field, "integer labels", f"dtype {array.dtype} with NaN or infinite values", remedy)
        raise bad_data(file, field, "integer labels", f"dtype {array.dtype}", remedy)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        remedy = "For one-hot labels, save labels.argmax(axis=-1)."
        raise bad_data(file, field, "labels of shape (n,) or (n, 1)", f"shape {array.shape}", remedy)
    if len(array) != images:
        raise bad_data(file, field, f"as many labels as images ({images})", f"{len(array)} labels")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise bad_data(
            file, field, "labels from 0 upward", f"labels from {low} to {high}", "Number the classes from 0."
        )
    return array.astype(np.int32)


def check_range(labels: NDArray[Any], classes: int, file: object, field: str) -> None:
    """Raise InputError unless every label is in `0..classes - 1`."""
    beyond = np.flatnonzero(labels >= classes)
    if len(beyond):
        received = f"label {int(labels[beyond[0]])} at index {int(beyond[0])}"
        raise bad_data(file, field, f"labels from 0 to {classes - 1}", received, "Correct or drop that row.")
