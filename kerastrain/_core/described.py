"""Values as plain data by which two processes tell whether theirs are the same."""

import hashlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


def sha256_of(values: Any) -> str:
    """The first 16 hexadecimal digits of the sha256 of an array, with its dtype and shape."""
    values = np.ascontiguousarray(values)
    return hashlib.sha256(f"{values.dtype} {values.shape}".encode() + values.tobytes()).hexdigest()[:16]


def is_described(value: Any) -> bool:
    """Whether `described` says more of a value than its type."""
    if isinstance(value, list | tuple):
        return all(map(is_described, value))
    if isinstance(value, Mapping):
        return all(map(is_described, value.values()))
    return value is None or isinstance(value, bool | int | float | str) or _is_array(value) or _identity(value)


def described(value: Any) -> Any:
    """Numbers and text as they are, an array by its digest, an object by its `identity()`, or else by its type."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if _is_array(value):
        value = np.asarray(keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value)
        return f"{value.dtype} {tuple(value.shape)} sha256 {sha256_of(value)}"
    return value.identity() if _identity(value) else type(value).__name__


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) or (
        hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "__array__")
    )


def _identity(value: Any) -> bool:
    return callable(getattr(value, "identity", None)) and not isinstance(value, type)
