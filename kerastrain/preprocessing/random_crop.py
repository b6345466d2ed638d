"""Random crops of reflect-padded images."""

import numpy as np


def random_crop(images: np.ndarray, offsets: np.ndarray, padding: int) -> np.ndarray:
    """Crop each image, at its own offset, out of itself padded by reflection.

    With padding p, offset (dy, dx) in 0..2p and the padded image P, `out[i] = P[i, dy:dy + height, dx:dx + width]`. The
    reflection does not repeat the edge (NumPy's and PyTorch's `reflect`); `keras.layers.RandomTranslation` repeats it
    and takes one image at a time.

    Args:
        images: `(batch, height, width, channels)`, any dtype.
        offsets: `(batch, 2)` integers from 0 to 2 * padding, row then column; (padding, padding) changes nothing.
        padding: pixels on each side, less than the height and the width.

    Returns:
        An array of the shape and dtype of `images`.

    Raises:
        ValueError: padding is not smaller than the image, or an offset is out of range.

    Example:

    >>> import numpy as np
    >>> image = np.arange(9).reshape(1, 3, 3, 1)
    >>> random_crop(image, np.array([[1, 2]]), padding=1)[0, :, :, 0]
    array([[1, 2, 1],
           [4, 5, 4],
           [7, 8, 7]])
    """
    _, height, width, _ = images.shape
    if not 0 <= padding < min(height, width):
        raise ValueError(f"`padding` must be from 0 to {min(height, width) - 1}. Received: padding={padding}.")
    if offsets.shape != (len(images), 2) or (len(offsets) and (offsets.min() < 0 or offsets.max() > 2 * padding)):
        raise ValueError(
            f"`offsets` must be ({len(images)}, 2) integers from 0 to {2 * padding}. Received: shape {offsets.shape}."
        )
    if padding == 0:
        return images
    rows = _reflected(offsets[:, :1] + np.arange(height) - padding, height)
    columns = _reflected(offsets[:, 1:] + np.arange(width) - padding, width)
    return images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def _reflected(index: np.ndarray, size: int) -> np.ndarray:
    index = np.abs(index)
    return np.where(index >= size, 2 * (size - 1) - index, index)
