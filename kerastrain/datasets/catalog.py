"""Data sets by name or path, as a recipe's `data: {name: ...}` and `--data` say it."""

import dataclasses
import os
import pathlib

import numpy as np

from kerastrain._core.errors import InputError, closest
from kerastrain._core.registry import Registry
from kerastrain.datasets import cifar10, cifar_batches, own, synthetic
from kerastrain.datasets.bad_data import existing
from kerastrain.datasets.checked_seed import checked_seed
from kerastrain.datasets.image_data import ImageData

DATASETS = Registry("data set", key="name")


def load(name_or_path: str | os.PathLike[str], *, seed: int = 0) -> ImageData:
    """The data set of that name, or the user's own images at that path.

    Args:
        name_or_path: `cifar10`, `synthetic`, or the path of an .npz file, an image folder with one directory per
            class, or CIFAR-10's batches. A name goes before a folder of the same name: write `./cifar10` for that.
        seed: an int >= 0; of the synthetic images, and of the test set where one has to be set aside. Runs that are to
            be compared keep one seed.

    Raises:
        InputError: no such name or path (the closest name is given), or whatever is wrong with the data.

    Example:

    >>> from kerastrain import datasets
    >>> data = datasets.load("synthetic")
    >>> data.image_shape, data.classes, len(data.x_train), len(data.x_test)
    ((32, 32, 3), 10, 12000, 2000)
    """
    seed = checked_seed(seed)
    name = os.fspath(name_or_path)
    if name in DATASETS:
        data: ImageData = DATASETS[name].target(seed=seed)
        return data
    if not os.path.exists(os.path.expanduser(name)):
        raise InputError(
            f"unknown data set `{name}`.{closest(name, DATASETS.names())} Known: {', '.join(DATASETS.names())}; and "
            "there is no file or folder of that name."
        )
    source = existing(name)
    if cifar_batches.is_batches(source):
        return dataclasses.replace(_cifar10(source), name=name)
    return _told_by_content(own.load_data(name, seed=seed), source)


def _cifar10(source: pathlib.Path) -> ImageData:
    (x_train, y_train), (x_test, y_test) = cifar10.load_data(source)
    description = f"{cifar10.describe(x_train, y_train)} from {source}"
    labels = y_train.astype(np.int32), y_test.astype(np.int32)
    return ImageData("cifar10", description, cifar10.CLASS_NAMES, x_train, labels[0], x_test, labels[1])


def _told_by_content(data: ImageData, source: pathlib.Path) -> ImageData:
    """The user's own data, under CIFAR-10's description and class names when that is what it holds."""
    description = cifar10.describe(data.x_train, data.y_train)
    if description == "not CIFAR-10" or data.classes != len(cifar10.CLASS_NAMES):
        return data
    return dataclasses.replace(data, description=f"{description} from {source}", class_names=cifar10.CLASS_NAMES)


def _named_cifar10(*, seed: int) -> ImageData:
    return _cifar10(cifar10.locate())


def _named_synthetic(*, seed: int) -> ImageData:
    (x_train, y_train), (x_test, y_test) = synthetic.load_data(seed=seed)
    description = f"synthetic shapes and textures, made by kerastrain with seed {seed}"
    labels = y_train.astype(np.int32), y_test.astype(np.int32)
    return ImageData("synthetic", description, synthetic.CLASS_NAMES, x_train, labels[0], x_test, labels[1])


DATASETS.add(
    "cifar10",
    _named_cifar10,
    f"50,000 + 10,000 photos, 32x32, 10 classes; from {cifar10.ENVIRONMENT_VARIABLE}, the Keras cache or a download",
    skip=("seed",),
)
DATASETS.add(
    "synthetic",
    _named_synthetic,
    "12,000 + 2,000 drawn shapes and textures, 32x32, 10 classes; made in seconds, needs no network",
    skip=("seed",),
)
