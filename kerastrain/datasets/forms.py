"""A task's view of labeled images: what goes into the model, and what it should answer."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kerastrain._core.errors import InputError
from kerastrain._core.registry import PositiveInt, Registry
from kerastrain.datasets.array_checks import Images, Labels
from kerastrain.datasets.checked_seed import checked_seed
from kerastrain.datasets.splits import Split

Bins = Literal[2, 4, 8, 16, 32, 64, 128, 256]

FORMS = Registry("form")

_CHUNK = 1024  # images whose bin numbers (int64) are in memory at once


def apply_form(form: str | dict[str, Any], split: Split, classes: int, seed: int) -> tuple[Any, NDArray[Any]]:
    """Model inputs and labels of `split` in a form: `image`, `image_and_histogram` or `pairs`.

    Args:
        form: its name, or a mapping with its arguments: `{"type": "pairs", "pairs_per_image": 2}`.
        split: images and labels of one role; a form never mixes two splits.
        classes: the number of classes.
        seed: an int >= 0, of what the form draws.

    Returns:
        `(x, y)`, arrays or a dict of arrays, in uint8 as far as they are pixels.

    Raises:
        InputError: unknown form or argument.

    Example:

    >>> import numpy as np
    >>> from kerastrain import datasets
    >>> images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 2, 2], np.int32)
    >>> x, y = datasets.apply_form("pairs", datasets.Split(images, labels), classes=3, seed=0)
    >>> x.shape, y.shape
    ((2, 8, 16, 3), (2, 3))
    """
    made: tuple[Any, NDArray[Any]] = FORMS.create(form, split=split, classes=classes, seed=checked_seed(seed))
    return made


def image(split: Split, classes: int, seed: int) -> tuple[Images, Labels]:
    """Images and labels as they are."""
    return split.images, split.labels


def image_and_histogram(
    split: Split, classes: int, seed: int, bins: Bins = 16
) -> tuple[dict[str, NDArray[Any]], Labels]:
    """`{"image": images, "histogram": float32 (n, channels * bins)}` and labels.

    The histogram of each channel sums to 1; the channels follow each other. `bins` equal steps divide 0..255.
    """
    return {"image": split.images, "histogram": color_histogram(split.images, bins)}, split.labels


def color_histogram(images: Images, bins: int = 16) -> NDArray[np.float32]:
    """The share of each image's pixels in each of `bins` equal steps of 0..255, channel after channel.

    Args:
        images: uint8, `(n, height, width, channels)`.
        bins: steps per channel, a divisor of 256.

    Returns:
        float32 `(n, channels * bins)`; the `bins` numbers of a channel sum to 1.

    Raises:
        InputError: `bins` does not divide 256.

    Example:

    >>> import numpy as np
    >>> color_histogram(np.array([[[[0], [100], [130], [255]]]], np.uint8), bins=2)
    array([[0.5, 0.5]], dtype=float32)
    """
    if bins not in get_args(Bins):
        raise InputError(f"`bins` must be one of {', '.join(map(str, get_args(Bins)))}. Received: bins={bins!r}.")
    count, height, width, channels = images.shape
    columns = channels * bins
    histograms = np.empty((count, columns), np.float32)
    for start in range(0, count, _CHUNK):
        chunk = images[start : start + _CHUNK]
        rows = len(chunk)
        # One bincount over all images: each image and channel has `bins` numbers of its own.
        cells = (chunk // (256 // bins)).reshape(rows, height * width, channels).astype(np.int64)
        cells += np.arange(channels) * bins + np.arange(rows).reshape(-1, 1, 1) * columns
        counts = np.bincount(cells.ravel(), minlength=rows * columns).reshape(rows, columns)
        histograms[start : start + rows] = counts / (height * width)
    return histograms


def pairs(
    split: Split, classes: int, seed: int, pairs_per_image: PositiveInt = 1
) -> tuple[Images, NDArray[np.float32]]:
    """Two images side by side, `(m, height, 2 * width, channels)`, and multi-hot labels `(m, classes)`, float32.

    A seeded permutation of the split pairs its images, `pairs_per_image` times over: `m = pairs_per_image * (n // 2)`;
    of an odd number, one is left over each time. Two images of one class make a label with a single 1.
    """
    if len(split) < 2:
        raise InputError(f"the form `pairs` needs at least two images in a split. Received: {len(split)}.")
    generator = np.random.default_rng(seed)
    half = len(split) // 2
    orders = np.stack([generator.permutation(len(split))[: 2 * half] for _ in range(pairs_per_image)])
    left, right = orders[:, :half].ravel(), orders[:, half:].ravel()
    labels = np.zeros((len(left), classes), np.float32)
    labels[np.arange(len(left)), split.labels[left]] = 1
    labels[np.arange(len(right)), split.labels[right]] = 1
    return np.concatenate([split.images[left], split.images[right]], axis=2), labels


def _add(function: Callable[..., Any], description: str) -> None:
    FORMS.add(function.__name__, function, description, skip=("split", "classes", "seed"))


_add(image, "the image and its class")
_add(image_and_histogram, "two inputs, the image and its color histogram; its class")
_add(pairs, "two images side by side; every class that is there (multi-label)")
