"""One checkpoint as a directory that is there whole or not at all, and that tells when a bit of it has changed.

    checkpoint-000012/
      arrays.bin      the arrays, raw, one after the other
      state.json      the tree that they hang in: numbers, text, lists, dictionaries
      manifest.json   size and sha256 of both, what the checkpoint is about, and a sha256 of all that

Nothing in it can be executed: no pickle, no HDF5, no class names.
"""

import hashlib
import json
import math
import os
import pathlib
from typing import Any

import numpy as np

ARRAYS, STATE, MANIFEST = "arrays.bin", "state.json", "manifest.json"
SCHEMA = 1

_ALIGNMENT = 64
_ARRAY, _FLOAT = "__array__", "__float__"


class DamagedError(Exception):
    """A checkpoint that is not what was written; the message says what is wrong."""


def write(path: pathlib.Path, state: Any, about: dict[str, Any]) -> None:
    """Write a checkpoint; until the rename at the end there is nothing at `path`, and after it all of it.

    Args:
        path: the directory, which must not exist.
        state: None, booleans, numbers, strings, NumPy arrays, and lists and dictionaries (with strings for keys) of
            such. Lists come back as lists, tuples too.
        about: what a reader may want to know without the state; JSON.

    Raises:
        OSError: what the file system says. Nothing is left behind, as far as it lets us.
        TypeError: something in `state` or `about` cannot be written.
    """
    arrays: list[np.ndarray] = []
    tree = _encoded(state, arrays)
    content, index = _joined(arrays)
    # As it is, unsorted: dictionaries come back in their order.
    files = {ARRAYS: content, STATE: json.dumps({"tree": tree, "arrays": index}, allow_nan=False).encode()}
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "files": {name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in files.items()},
        "about": about,
    }
    files[MANIFEST] = _json({**body, "sha256": _sha256(_json(body))})
    temporary = path.with_name(f".writing-{path.name}")
    remove(temporary)  # Of an earlier try that could not even be cleared away.
    try:
        os.mkdir(temporary)
        for name, data in files.items():
            _write_file(temporary / name, data)
        sync_folder(temporary)
        os.rename(temporary, path)
        sync_folder(path.parent)
    except OSError:
        remove(temporary)
        raise


def read(path: pathlib.Path) -> tuple[Any, dict[str, Any]]:
    """State and `about` of a checkpoint, every byte of it checked.

    Raises:
        DamagedError: a file is missing, or not what was written.
    """
    manifest = read_manifest(path)
    check_sizes(path, manifest)
    data = {}
    for name, facts in manifest["files"].items():
        content = _read_file(path / name)
        if _sha256(content) != facts["sha256"]:
            raise DamagedError(f"{name} is not what was written (its sha256 differs)")
        data[name] = content
    try:
        state = json.loads(data[STATE])
        arrays = [_array(item, data[ARRAYS]) for item in state["arrays"]]
        return _decoded(state["tree"], arrays), manifest["about"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DamagedError(f"{STATE} cannot be read ({error})") from None


def read_manifest(path: pathlib.Path) -> dict[str, Any]:
    """The manifest of a checkpoint, checked, without its files. Raises DamagedError."""
    content = _read_file(path / MANIFEST)
    try:
        manifest: dict[str, Any] = json.loads(content)
        body = {name: value for name, value in manifest.items() if name != "sha256"}
        intact = manifest["sha256"] == _sha256(_json(body)) and _json(manifest) == content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{MANIFEST} cannot be read ({type(error).__name__}: {error})") from None
    if not intact:
        raise DamagedError(f"{MANIFEST} is not what was written (its sha256 differs)")
    if manifest["schema"] != SCHEMA:
        raise DamagedError(f"{MANIFEST} has schema {manifest['schema']}, and this version reads {SCHEMA}")
    if set(manifest["files"]) != {ARRAYS, STATE}:
        raise DamagedError(f"{MANIFEST} names other files than {ARRAYS} and {STATE}")
    return manifest


def check_sizes(path: pathlib.Path, manifest: dict[str, Any]) -> None:
    """Raise DamagedError when a file is missing or has another size than its manifest says; nothing is read."""
    for name, facts in manifest["files"].items():
        try:
            size = os.stat(path / name).st_size
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror or error})") from None
        if size != facts["bytes"]:
            raise DamagedError(f"{name} has {size} bytes instead of {facts['bytes']}")


def remove(path: pathlib.Path) -> None:
    """Remove a directory of files, as far as the file system lets us."""
    try:
        for entry in os.listdir(path):
            os.unlink(path / entry)
        os.rmdir(path)
    except OSError:
        return


def sync_folder(path: pathlib.Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_file(path: pathlib.Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_file(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path.name} cannot be read ({error.strerror or error})") from None


def _json(value: Any) -> bytes:
    return (json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":")) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _encoded(value: Any, arrays: list[np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # JSON has no infinity and no NaN; repr gives every other float back to the bit.
        return value if math.isfinite(value) else {_FLOAT: repr(value)}
    if isinstance(value, np.ndarray | np.generic):
        arrays.append(np.asarray(value))
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, list | tuple):
        return [_encoded(item, arrays) for item in value]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key in (_ARRAY, _FLOAT):
                raise TypeError(f"a checkpoint's dictionaries have strings for keys. Received: {key!r}.")
        return {key: _encoded(item, arrays) for key, item in value.items()}
    raise TypeError(f"a checkpoint holds numbers, text, arrays, lists and dictionaries. Received: {type(value)}.")


def _decoded(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decoded(item, arrays) for item in value]
    if isinstance(value, dict):
        if _ARRAY in value:
            return arrays[value[_ARRAY]]
        if _FLOAT in value:
            return float(value[_FLOAT])
        return {key: _decoded(item, arrays) for key, item in value.items()}
    return value


def _joined(arrays: list[np.ndarray]) -> tuple[bytes, list[dict[str, Any]]]:
    parts, index, offset = [], [], 0
    for array in arrays:
        # The name of a type does not tell the order of its bytes.
        dtype = array.dtype.newbyteorder("=")
        if not _is_number(dtype):
            raise TypeError(f"a checkpoint holds arrays of numbers. Received: dtype {array.dtype}.")
        data = np.ascontiguousarray(array, dtype).tobytes()
        index.append({"dtype": dtype.name, "shape": list(array.shape), "offset": offset, "bytes": len(data)})
        padding = -len(data) % _ALIGNMENT
        parts += [data, bytes(padding)]
        offset += len(data) + padding
    return b"".join(parts), index


def _is_number(dtype: np.dtype) -> bool:
    try:
        return not dtype.hasobject and np.dtype(dtype.name) == dtype
    except TypeError:  # Text, which has no such name.
        return False


def _array(item: dict[str, Any], content: bytes) -> np.ndarray:
    dtype, shape = _dtype(item["dtype"]), tuple(item["shape"])
    size = dtype.itemsize * math.prod(shape)
    end = item["offset"] + size
    if dtype.hasobject or size != item["bytes"] or not 0 <= item["offset"] <= end <= len(content):
        raise ValueError(f"an array of {item} does not fit into {ARRAYS}")
    return np.frombuffer(content[item["offset"] : end], dtype).reshape(shape).copy()


def _dtype(name: str) -> np.dtype:
    try:
        return np.dtype(name)
    except TypeError:
        # NumPy does not know bfloat16 until this library, which every backend of Keras brings, is imported.
        import ml_dtypes

        known = getattr(ml_dtypes, str(name), None)
        if known is None:
            raise ValueError(f"there are no numbers of dtype {name!r}") from None
        return np.dtype(known)
