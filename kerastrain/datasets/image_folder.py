"""Images from a folder with one directory per class."""

import os
import pathlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerastrain.datasets.array_checks import Images, Labels
from kerastrain.datasets.bad_data import bad_data, reason
from kerastrain.datasets.found_images import FoundImages

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def read(folder: pathlib.Path) -> FoundImages:
    """Read `folder/CLASS/*.png`, or `folder/train/CLASS/*.png` with or without `folder/test/CLASS/*.png`.

    Classes are the directories, sorted by name, and images the files in them, sorted by name; names that begin with a
    dot are passed over. All images have one size and one number of channels.

    Raises:
        InputError: naming the folder or file that is not so, or cannot be read as an image.
    """
    train, test = folder, None
    directories = _directories(folder)
    if "train" in directories or "test" in directories:
        if set(directories) - {"train", "test"} or "train" not in directories:
            expected = "either directories `train` and `test`, or one directory per class"
            raise bad_data(folder, "", expected, f"the directories {', '.join(directories)}")
        train, test = folder / "train", folder / "test" if "test" in directories else None
    class_names = tuple(_directories(train))
    if len(class_names) < 2:
        received = f"{len(class_names)} directories"
        remedy = f"Make one directory per class and put its images ({' '.join(SUFFIXES)}) there."
        raise bad_data(train, "", "at least two directories, one per class", received, remedy)
    x_train, y_train, shape = _read_classes(train, class_names, None)
    if test is None:
        return FoundImages(class_names, x_train, y_train, None, None)
    unknown = sorted(set(_directories(test)) - set(class_names))
    if unknown:
        expected = f"the classes of {train} ({', '.join(class_names[:20])})"
        raise bad_data(test, unknown[0], expected, "a class that has no training images")
    present = tuple(_directories(test))
    x_test, y_test, _ = _read_classes(test, class_names, shape, only=present)
    return FoundImages(class_names, x_train, y_train, x_test, y_test)


def _entries(folder: pathlib.Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise bad_data(folder, "", "a folder that can be read", reason(error)) from None


def _directories(folder: pathlib.Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _read_classes(
    folder: pathlib.Path,
    class_names: tuple[str, ...],
    shape: tuple[int, ...] | None,
    only: tuple[str, ...] | None = None,
) -> tuple[Images, Labels, tuple[int, ...]]:
    files: list[pathlib.Path] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        if only is not None and name not in only:
            continue
        found = _image_files(folder / name)
        files += found
        labels += [label] * len(found)
    if not files:
        raise bad_data(folder, "", "images in one directory per class", "none")
    shape = shape or read_image(files[0]).shape
    try:
        images = np.empty((len(files), *shape), np.uint8)
    except MemoryError:
        received = f"{len(files)} images of {shape}"
        raise bad_data(folder, "", "images that fit in memory", received, "Make them smaller.") from None
    for index, file in enumerate(files):
        image = read_image(file)
        if image.shape != shape:
            expected = f"an image of height, width and channels {shape}, as {files[0].name} has"
            raise bad_data(file, "", expected, f"{image.shape}", "Bring all images to one size and mode.")
        images[index] = image
    return images, np.array(labels, np.int32), shape


def _image_files(folder: pathlib.Path) -> list[pathlib.Path]:
    files = []
    for entry in _entries(folder):
        if not entry.is_file() or not entry.name.lower().endswith(SUFFIXES):
            received = "a directory" if entry.is_dir() else "another file"
            raise bad_data(entry.path, "", f"an image file ({' '.join(SUFFIXES)})", received, "Move it elsewhere.")
        files.append(folder / entry.name)
    if not files:
        raise bad_data(folder, "", "at least one image of the class", "an empty directory", "Remove it or fill it.")
    return files


def read_image(path: pathlib.Path) -> NDArray[np.uint8]:
    """One image as uint8 `(height, width, 1 or 3)`: grey stays grey, palettes become RGB.

    Raises:
        InputError: the file is damaged, or has transparency, 16 bits or another color space.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # An image so large that Pillow warns of a decompression bomb has no place here.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                mode = _target_mode(image)
                array: NDArray[Any] | None = np.array(image.convert(mode)) if mode else None
                received = f"mode {image.mode}" + (" with transparency" if "transparency" in image.info else "")
    except Exception as error:  # on damaged bytes Pillow's decoders raise whatever they stumble over
        raise bad_data(path, "", "an image", f"a damaged or foreign file ({reason(error)})") from None
    if array is None:
        raise bad_data(
            path, "", "an 8-bit grey or RGB image", received, "Convert it, for instance by image.convert('RGB')."
        )
    return array[..., np.newaxis] if array.ndim == 2 else array


def _target_mode(image: Any) -> str | None:
    if "transparency" in image.info:
        return None
    return {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}.get(image.mode)
