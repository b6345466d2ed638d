"""The three roles of data: learn from `train`, choose by `validation`, report on `test` once, at the end."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerastrain._core.errors import InputError
from kerastrain.datasets.array_checks import Images, Labels
from kerastrain.datasets.checked_seed import checked_seed
from kerastrain.datasets.image_data import ImageData
from kerastrain.datasets.stratification import stratified_choice


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images `(n, height, width, channels)` uint8 with their labels `(n,)` int32."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True, eq=False)
class Splits:
    """The training, validation and test sets of one run."""

    train: Split
    validation: Split
    test: Split


def split(data: ImageData, validation: int | float, *, seed: int) -> Splits:
    """Hold a stratified validation set out of the training set; the test set stays as it is.

    Which images are held out is a pure function of the training labels, `validation` and `seed`; within each set they
    keep the order of the file.

    Args:
        data: the data set.
        validation: how many training images to hold out (an int >= 1), or which fraction (a float in (0, 1), rounded
            to whole images). Each class gives its share, by largest remainders, so that the total is exact.
        seed: an int >= 0.

    Raises:
        InputError: `validation` or `seed` is not of that form, or a class would be left without a training or a
            validation image.

    Example:

    >>> from kerastrain import datasets
    >>> parts = datasets.split(datasets.load("synthetic"), 0.2, seed=0)
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (9600, 2400, 2000)
    """
    labels = data.y_train
    held_out = stratified_choice(labels, _count(validation, len(labels)), data.classes, checked_seed(seed))
    mask = np.zeros(len(labels), bool)
    mask[held_out] = True
    for role, part in (("training", labels[~mask]), ("validation", labels[mask])):
        _check_classes(part, role, data, validation)
    return Splits(
        train=Split(data.x_train[~mask], labels[~mask]),
        validation=Split(data.x_train[mask], labels[mask]),
        test=Split(data.x_test, data.y_test),
    )


def _count(validation: Any, images: int) -> int:
    expected = "`validation` must be an int >= 1 (images) or a float in (0, 1) (a fraction of the training set)"
    if isinstance(validation, bool) or not isinstance(validation, int | float | np.integer | np.floating):
        raise InputError(f"{expected}. Received: validation={validation!r}.")
    if isinstance(validation, int | np.integer):
        count = int(validation)
    else:
        if not 0 < validation < 1:
            raise InputError(f"{expected}. Received: validation={validation!r}.")
        count = round(float(validation) * images)
    if not 1 <= count < images:
        raise InputError(
            f"{expected} and leave training images. Received: validation={validation!r}, which is {count} of {images} "
            "training images."
        )
    return count


def _check_classes(labels: NDArray[Any], role: str, data: ImageData, validation: int | float) -> None:
    empty = np.flatnonzero(np.bincount(labels, minlength=data.classes) == 0)
    if len(empty):
        total = int(np.count_nonzero(data.y_train == empty[0]))
        raise InputError(
            f"`validation` must leave every class at least one training and one validation image. Received: "
            f"validation={validation!r}, which leaves class `{data.class_names[int(empty[0])]}` ({total} of "
            f"{len(data.y_train)} training images) without a {role} image."
        )
