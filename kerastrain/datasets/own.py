"""The user's own images: an .npz file, or a folder with one directory per class."""

import os
import pathlib

import numpy as np

from kerastrain._core.errors import InputError
from kerastrain.datasets import image_folder, npz_file
from kerastrain.datasets.array_checks import Images, Labels, check_range, checked_images, checked_labels
from kerastrain.datasets.bad_data import bad_data, existing
from kerastrain.datasets.checked_seed import checked_seed
from kerastrain.datasets.found_images import FoundImages
from kerastrain.datasets.image_data import ImageData
from kerastrain.datasets.stratification import stratified_choice

_TEST_SHARE = 6  # one image in six is set aside, as CIFAR-10 has it


def load_data(path: str | os.PathLike[str], *, seed: int = 0) -> ImageData:
    """Read labeled images of one size, grey or RGB, uint8.

    Args:
        path: an .npz file with `x_train` and `y_train`, and with `x_test` and `y_test` or without; or with `x` and `y`;
            images uint8 `(n, height, width)` or `(n, height, width, 1 or 3)`, labels whole numbers `0..classes - 1`,
            each class present. Or a folder `CLASS/*.png`, or `train/CLASS/*.png` with `test/CLASS/*.png` or without.
        seed: of the choice of the test set, used when the source has none: a stratified sixth is then set aside, and
            the description says so. Runs that are to be compared keep one seed.

    Raises:
        InputError: naming file and field, what is expected and what was received.

    Example:

        data = kerastrain.datasets.own.load_data("flowers/")
    """
    source, seed = existing(path), checked_seed(seed)
    found = image_folder.read(source) if source.is_dir() else _from_npz(source)
    text = f"{'images' if source.is_dir() else 'arrays'} from {source}"
    if found.x_test is None or found.y_test is None:
        return _with_test_set(found, os.fspath(path), text, seed)
    return ImageData(os.fspath(path), text, found.class_names, found.x_train, found.y_train, found.x_test, found.y_test)


def _from_npz(path: pathlib.Path) -> FoundImages:
    names = set(npz_file.field_names(path))
    if {"x", "y"} & names and {"x_train", "y_train"} & names:
        received = f"the fields {', '.join(sorted(names))}"
        raise bad_data(path, "", "either `x` and `y`, or `x_train` and `y_train`", received)
    ending = "" if {"x", "y"} & names else "_train"
    x_train, y_train = _read_part(path, ending)
    classes = int(y_train.max()) + 1
    _check_no_gap(y_train, classes, path, f"y{ending}")
    class_names = tuple(str(label) for label in range(classes))
    if not {"x_test", "y_test"} & names:
        return FoundImages(class_names, x_train, y_train, None, None)
    x_test, y_test = _read_part(path, "_test")
    if x_test.shape[1:] != x_train.shape[1:]:
        expected = f"images of height, width and channels {x_train.shape[1:]}, as `x{ending}` has"
        raise bad_data(path, "x_test", expected, f"shape {x_test.shape}")
    check_range(y_test, classes, path, "y_test")
    return FoundImages(class_names, x_train, y_train, x_test, y_test)


def _read_part(path: pathlib.Path, ending: str) -> tuple[Images, Labels]:
    images = checked_images(npz_file.read_field(path, f"x{ending}"), path, f"x{ending}")
    labels = npz_file.read_field(path, f"y{ending}")
    return images, checked_labels(labels, len(images), path, f"y{ending}")


def _check_no_gap(labels: Labels, classes: int, path: pathlib.Path, field: str) -> None:
    present = np.unique(labels)
    if classes < 2:
        raise bad_data(path, field, "labels of at least two classes", "label 0 only")
    if len(present) < classes:
        missing = int(np.flatnonzero(present != np.arange(len(present)))[0])
        received = f"labels up to {classes - 1}, with no image of class {missing}"
        raise bad_data(path, field, "labels 0, 1, ... without a gap", received, "Renumber the labels.")


def _with_test_set(found: FoundImages, name: str, text: str, seed: int) -> ImageData:
    images, labels, classes = found.x_train, found.y_train, len(found.class_names)
    test = stratified_choice(labels, round(len(labels) / _TEST_SHARE), classes, seed)
    mask = np.zeros(len(labels), bool)
    mask[test] = True
    if not mask.any() or (np.bincount(labels[~mask], minlength=classes) == 0).any():
        raise InputError(
            f"{name}: has no test set, and {len(labels)} images of {classes} classes are too few to set one aside. "
            "Give a test set, or more images."
        )
    text = f"{text} (no test set given: a stratified sixth, {len(test)} images, was set aside with seed {seed})"
    return ImageData(name, text, found.class_names, images[~mask], labels[~mask], images[mask], labels[mask])
