"""CIFAR-10's own files, python or binary batches, in a folder or a .tar.gz archive."""

import gzip
import os
import pathlib
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerastrain._core.errors import InputError
from kerastrain.datasets import python_batch
from kerastrain.datasets.bad_data import bad_data, reason

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_PYTHON = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
_BINARY = tuple(f"{name}.bin" for name in _PYTHON)
_INNER_FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin")
_RECORD_BYTES = 1 + 3 * 32 * 32
_MAX_BATCH_BYTES = 64 * 2**20
_GZIP_MAGIC = b"\x1f\x8b"


def is_batches(path: pathlib.Path) -> bool:
    """Whether `path` is an archive by its first bytes, or a folder with at least one batch."""
    if path.is_dir():
        return _batch_names(_batch_folder(path)) is not None
    try:
        with path.open("rb") as stream:
            return stream.read(2) == _GZIP_MAGIC
    except OSError:
        return False  # the reader that the path goes to next names the fault


def read(path: pathlib.Path) -> tuple[Arrays, Arrays]:
    """`(x_train, y_train), (x_test, y_test)` of a folder or archive for which `is_batches` holds.

    Raises:
        InputError: a batch is missing, damaged, too large or has a label above 9.
    """
    names, contents = _from_folder(_batch_folder(path)) if path.is_dir() else _from_archive(path)
    decode = _from_binary if names == _BINARY else _from_python
    batches = [_decoded(path, name, contents[name], decode) for name in names]
    images, labels = zip(*batches, strict=True)
    return (np.concatenate(images[:-1]), np.concatenate(labels[:-1])), (images[-1], labels[-1])


def _batch_folder(folder: pathlib.Path) -> pathlib.Path:
    """`folder`, or the folder in it that the archive unpacks to and Keras keeps the batches in."""
    inner = (folder / name for name in _INNER_FOLDERS)
    return folder if _batch_names(folder) else next((path for path in inner if path.is_dir()), folder)


def _batch_names(folder: pathlib.Path) -> tuple[str, ...] | None:
    for names in (_PYTHON, _BINARY):
        if any(os.path.isfile(folder / name) for name in names):
            return names
    return None


def _from_folder(folder: pathlib.Path) -> tuple[tuple[str, ...], dict[str, bytes]]:
    names = _batch_names(folder) or _PYTHON
    contents = {}
    for name in names:
        if not os.path.isfile(folder / name):
            raise bad_data(folder, name, "a CIFAR-10 batch of that name", "no such file", "Unpack the archive again.")
        try:
            _check_size(folder, name, (folder / name).stat().st_size)
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise bad_data(folder, name, "a file that can be read", reason(error)) from None
    return names, contents


def _from_archive(path: pathlib.Path) -> tuple[tuple[str, ...], dict[str, bytes]]:
    contents: dict[str, bytes] = {}
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                # Only regular files, by the names we know: links and devices are never followed, nothing is unpacked.
                if member.isreg() and name in _PYTHON + _BINARY:
                    _check_size(path, name, member.size)
                    if name in contents:
                        raise bad_data(path, name, "one file of that name", "two")
                    contents[name] = archive.extractfile(member).read()  # type: ignore[union-attr]
            while stream.read(2**20):  # to the end, where gzip compares its checksum
                pass
    except InputError:
        raise
    except Exception as error:  # damaged bytes: tarfile, gzip, zlib, ...
        received, remedy = f"a damaged archive ({reason(error)})", "Delete it and get it again."
        raise bad_data(path, "", "an .npz file, or a .tar.gz archive of CIFAR-10", received, remedy) from None
    names = _BINARY if set(_BINARY) & set(contents) else _PYTHON
    missing = [name for name in names if name not in contents]
    if missing:
        received = f"an archive with {', '.join(sorted(contents)) or 'no batches'}"
        raise bad_data(path, missing[0], "a CIFAR-10 batch of that name", received, "Get the archive again.")
    return names, contents


def _check_size(file: pathlib.Path, name: str, size: int) -> None:
    if size > _MAX_BATCH_BYTES:
        raise bad_data(file, name, f"a batch of at most {_MAX_BATCH_BYTES} bytes", f"{size} bytes")


def _decoded(file: pathlib.Path, name: str, content: bytes, decode: Callable[[bytes], Arrays]) -> Arrays:
    try:
        rows, labels = decode(content)
        if len(rows) != len(labels) or not len(rows):
            raise ValueError(f"{len(rows)} images and {len(labels)} labels")
    except Exception as error:  # damaged bytes: pickle's documentation leaves the types open
        remedy = "Get the archive again."
        raise bad_data(file, name, "a CIFAR-10 batch", f"a damaged one ({reason(error)})", remedy) from None
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels


def _from_python(content: bytes) -> Arrays:
    return python_batch.read(content)


def _from_binary(content: bytes) -> Arrays:
    if len(content) % _RECORD_BYTES:
        raise ValueError(f"{len(content)} bytes, which is no multiple of {_RECORD_BYTES}: the file is cut short")
    records: NDArray[Any] = np.frombuffer(content, np.uint8).reshape(-1, _RECORD_BYTES)
    labels = records[:, 0]
    if len(labels) and labels.max() > 9:
        raise ValueError(f"label {labels.max()}, which is above 9")
    return records[:, 1:], labels.copy()
