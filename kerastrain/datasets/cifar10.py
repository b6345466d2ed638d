"""CIFAR-10: 50,000 training and 10,000 test images, 32x32, in 10 classes."""

import hashlib
import os
import pathlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerastrain._core.errors import InputError
from kerastrain.datasets import cifar_batches, image_folder, npz_file
from kerastrain.datasets.array_checks import check_range, checked_images, checked_labels
from kerastrain.datasets.bad_data import bad_data, existing
from kerastrain.datasets.download import DownloadError, fetch

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ENVIRONMENT_VARIABLE = "KERASTRAIN_CIFAR10"
ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
PYTHON_ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"  # Keras checks it too

# The original's marks. The sums are the published channel means, 125.306918046875, 122.950394140625 and
# 113.86538318359375, times the 50,000 x 32 x 32 pixels: whole numbers, and the same in every order of the images.
_TRAIN_IMAGES = 50_000
_CHANNEL_SUMS = (6_415_714_204, 6_295_060_180, 5_829_907_619)
_FIRST_PIXELS = ((59, 62, 63), (43, 46, 45), (50, 48, 43))
_FIRST_LABELS = (6, 9, 9, 4, 1, 1, 2, 7, 8, 3)
_JPEG_COPY_SHA256 = "5aaf8a2cf2e577ff4dbb15e4f368840fab5aca1812bcc69682005f8dc661d466"

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[Arrays, Arrays]:
    """As keras.datasets.cifar10.load_data, but the labels have shape `(n,)` and the files may lie anywhere.

    Args:
        path: an .npz file with `x_train`, `y_train`, `x_test`, `y_test`; a folder `train/CLASS/*.png`,
            `test/CLASS/*.png`; a folder or .tar.gz archive of the original's python batches or binary batches.
            None: what the environment variable KERASTRAIN_CIFAR10 names (the same kinds), else the Keras cache, else
            a download into it, verified by sha256 before it is opened. A source that is named but damaged or missing
            is an error; the next one is not tried.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: uint8 images `(n, 32, 32, 3)` and uint8 labels `(n,)`, 0 to 9.

    Raises:
        InputError: the source is missing, damaged or of another kind, or nothing could be downloaded.

    Example:

        (x_train, y_train), (x_test, y_test) = kerastrain.datasets.cifar10.load_data()

    Reference: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    source = locate() if path is None else existing(path)
    if cifar_batches.is_batches(source):
        return cifar_batches.read(source)
    return _from_folder(source) if source.is_dir() else _from_npz(source)


def locate() -> pathlib.Path:
    """The file or folder that `load_data()` reads, downloaded if need be. Raises InputError as it does."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named == "":
        raise InputError(f"`{ENVIRONMENT_VARIABLE}`: expected a file or a folder. Received: nothing. Set or unset it.")
    if named is not None:
        return existing(named, ENVIRONMENT_VARIABLE)
    cache = _cache()
    archive = cache / "cifar-10-binary.tar.gz"
    for name in ("cifar-10-batches-py-target", "cifar-10-batches-py", "cifar-10-batches-bin"):
        if os.path.isdir(cache / name):
            return cache / name
    for name in ("cifar-10-batches-py-target_archive", "cifar-10-batches-py.tar.gz", "cifar-10-python.tar.gz"):
        if os.path.isfile(cache / name):
            return _verified(cache / name, PYTHON_ARCHIVE_SHA256)
    if os.path.isfile(archive):
        return _verified(archive, ARCHIVE_SHA256)
    try:
        fetch(ARCHIVE_URL, ARCHIVE_SHA256, archive)
    except DownloadError as error:
        raise InputError(
            f"CIFAR-10 is not on this machine and could not be downloaded from {ARCHIVE_URL} ({error}). Three ways on: "
            f"give its path (`--data PATH`, or `path` of load_data); set {ENVIRONMENT_VARIABLE}=PATH; or put the "
            f"archive at {archive}. The data set `synthetic` needs none of them."
        ) from None
    return archive


def describe(x_train: NDArray[Any], y_train: NDArray[Any]) -> str:
    """What the arrays are, told by their content, so that no result on a copy passes for one on the original.

    Returns:
        `"CIFAR-10"` for the original's training pixels; `"CIFAR-10 (JPEG copy)"` for the copy whose pixels went through
        JPEG; otherwise what is true of them.
    """
    if x_train.shape[1:] != (32, 32, 3) or x_train.dtype != np.uint8 or len(x_train) != len(y_train):
        return "not CIFAR-10"
    in_order = tuple(np.ravel(y_train)[:10].tolist()) == _FIRST_LABELS
    first_pixels = in_order and tuple(map(tuple, x_train[0, 0, :3].tolist())) == _FIRST_PIXELS
    if len(x_train) != _TRAIN_IMAGES:
        return f"a part of CIFAR-10 ({len(x_train)} training images)" if first_pixels else "not CIFAR-10"
    if tuple(x_train.sum(axis=(0, 1, 2), dtype=np.int64).tolist()) == _CHANNEL_SUMS:
        return "CIFAR-10" if first_pixels else "CIFAR-10 (in another order)"
    if hashlib.sha256(np.ascontiguousarray(x_train).data).hexdigest() == _JPEG_COPY_SHA256:
        return "CIFAR-10 (JPEG copy)"
    return "CIFAR-10 labels, other pixels" if in_order else "not CIFAR-10"


def _cache() -> pathlib.Path:
    """Where Keras keeps data sets, told without importing Keras."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return pathlib.Path(home).expanduser() / "datasets"


def _verified(path: pathlib.Path, sha256: str) -> pathlib.Path:
    try:
        with path.open("rb") as stream:
            received = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise bad_data(path, "", "a file that can be read", str(error.strerror)) from None
    if received != sha256:
        remedy = "Delete the file, and it is downloaded again."
        raise bad_data(path, "", f"CIFAR-10's archive, sha256 {sha256}", f"sha256 {received}", remedy)
    return path


def _from_npz(path: pathlib.Path) -> tuple[Arrays, Arrays]:
    def part(role: str) -> Arrays:
        images = npz_file.read_field(path, f"x_{role}")
        labels = npz_file.read_field(path, f"y_{role}")
        return _checked(images, labels, path, role)

    return part("train"), part("test")


def _from_folder(path: pathlib.Path) -> tuple[Arrays, Arrays]:
    found = image_folder.read(path)
    if found.x_test is None or found.y_test is None:
        raise bad_data(path, "", "directories `train` and `test`", "no directory `test`")
    if found.class_names not in (CLASS_NAMES, tuple("0123456789")):
        expected = f"the classes {', '.join(CLASS_NAMES)} (or 0 to 9)"
        raise bad_data(path / "train", "", expected, f"the directories {', '.join(found.class_names[:20])}")
    return (
        _checked(found.x_train, found.y_train, path, "train"),
        _checked(found.x_test, found.y_test, path, "test"),
    )


def _checked(images: NDArray[Any], labels: NDArray[Any], path: pathlib.Path, role: str) -> Arrays:
    images = checked_images(images, path, f"x_{role}")
    if images.shape[1:] != (32, 32, 3):
        raise bad_data(path, f"x_{role}", "CIFAR-10's images of shape (n, 32, 32, 3)", f"shape {images.shape}")
    labels = checked_labels(labels, len(images), path, f"y_{role}")
    check_range(labels, len(CLASS_NAMES), path, f"y_{role}")
    return images, labels.astype(np.uint8)
