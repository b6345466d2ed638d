"""A CIFAR-10 python batch read without trusting it.

A pickle runs whatever its bytes name. Here it can name five things, and each is a stand-in that only records what it is
given: NumPy never sees the file's bytes as an object's state, so neither a crafted nor a damaged file can harm it.
"""

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MEMO_OPCODES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


def read(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Rows `(n, 3072)` and labels `(n,)` of a pickled `{"data": ..., "labels": ...}`.

    Raises:
        ValueError: the batch is something else, or names anything a batch does not need.
        Exception: what `pickle` raises on damaged bytes (its documentation leaves the types open).
    """
    _refuse_huge_memo(content)
    batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
    if not isinstance(batch, dict):
        raise ValueError("the pickle holds no dictionary")
    return _rows(_entry(batch, "data")), _labels(_entry(batch, "labels"))


class _Dtype:
    """Stand-in for numpy.dtype: keeps the name."""

    def __init__(self, name: Any = None, *options: Any) -> None:
        self.name = name.decode("ascii") if isinstance(name, bytes) else name

    def __setstate__(self, state: Any) -> None:
        """The byte order and alignment of one-byte numbers say nothing."""


class _Array:
    """Stand-in for numpy.ndarray and what builds it: keeps the state, (version, shape, dtype, Fortran order, bytes)."""

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Latin1(bytes):
    """Stand-in for codecs.encode: Python 3 writes bytes in old pickles as text in Latin-1."""

    def __new__(cls, text: Any, encoding: Any) -> "_Latin1":
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
            raise ValueError("the pickle encodes text in another way than NumPy does")
        return super().__new__(cls, text.encode("latin-1"))

    def __setstate__(self, state: Any) -> None:
        raise ValueError("the pickle gives text a state")


# Classes with a __setstate__ only: a pickle can set attributes of anything else that it can name.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Latin1,
}


class _BatchUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise ValueError(f"the pickle names `{module}.{name}`, which a CIFAR-10 batch does not need")
        return _ALLOWED[module, name]

    def persistent_load(self, identifier: Any) -> Any:
        raise ValueError("the pickle names an outside object, which a CIFAR-10 batch does not need")


def _refuse_huge_memo(content: bytes) -> None:
    # pickle allocates as many slots as the largest index says: one flipped bit there can ask for 64 GB.
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in _MEMO_OPCODES and isinstance(argument, int) and argument > len(content):
            raise ValueError("the pickle has a memo index larger than the file")


def _entry(batch: dict[Any, Any], key: str) -> Any:
    for name in (key.encode(), key):
        if name in batch:
            return batch[name]
    raise ValueError(f"the pickle has no `{key}`")


def _rows(data: Any) -> NDArray[np.uint8]:
    if not isinstance(data, _Array) or not isinstance(data.state, tuple) or len(data.state) != 5:
        raise ValueError("`data` is no NumPy array")
    _, shape, dtype, fortran_order, content = data.state
    if not isinstance(dtype, _Dtype) or dtype.name not in ("u1", "|u1", "uint8"):
        raise ValueError("`data` is not uint8")
    if not isinstance(content, bytes) or shape != (len(content) // 3072, 3072) or len(content) != shape[0] * 3072:
        raise ValueError(f"`data` has shape {shape!r}, not (n, 3072), or other bytes than that")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran_order else "C")


def _labels(labels: Any) -> NDArray[np.uint8]:
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise ValueError("`labels` is no list of whole numbers from 0 to 9")
    return np.array(labels, np.uint8)
