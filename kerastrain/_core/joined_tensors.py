"""Tensors and variables joined along their first axis, taken apart, and written back, in few kernels."""

import importlib
import math
from collections.abc import Sequence
from typing import Any

import keras


def _backend(name: str) -> Any:
    # Keras has imported it already.
    return importlib.import_module(name) if keras.backend.backend() == name else None


_TENSORFLOW = _backend("tensorflow")
_TORCH = _backend("torch")


def joined(tensors: Sequence[Any], as_vectors: bool) -> Any:
    """The tensors one after another along the first axis, of which they share the others; or all of them as vectors."""
    if as_vectors:
        tensors = [tensor if len(tensor.shape) == 1 else keras.ops.reshape(tensor, (-1,)) for tensor in tensors]
    if _TENSORFLOW is not None:
        return _TENSORFLOW.concat(list(tensors), 0)
    if _TORCH is not None:
        return _TORCH.cat(list(tensors))
    return keras.ops.concatenate(list(tensors))


def read_into(target: keras.Variable, sources: Sequence[keras.Variable], as_vectors: bool) -> None:
    """`target` takes the values of `sources`, joined."""
    values = [source.value for source in sources]
    if _TORCH is None:
        target.assign(joined(values, as_vectors))
        return
    with _TORCH.no_grad():
        parts = [value.reshape(-1) for value in values] if as_vectors else values
        _TORCH.cat(parts, out=target.value.data)


def parts_of(whole: Any, shapes: Sequence[tuple[int, ...]], as_vectors: bool) -> list[Any]:
    """What was joined to make `whole`, in the `shapes` it had."""
    lengths = [math.prod(shape) if as_vectors else shape[0] for shape in shapes]
    if _TENSORFLOW is not None:
        parts = _TENSORFLOW.split(whole, lengths)
    elif _TORCH is not None:
        parts = _TORCH.split(whole, lengths)
    else:
        ends = [sum(lengths[: place + 1]) for place in range(len(lengths) - 1)]
        parts = keras.ops.split(whole, ends)
    if not as_vectors:
        return list(parts)
    return [
        part if len(shape) == 1 else keras.ops.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)
    ]


def write_parts(targets: Sequence[keras.Variable], values: Sequence[Any]) -> None:
    """Each target takes its value, which has its shape and dtype."""
    if _TORCH is not None:
        with _TORCH.no_grad():
            _TORCH._foreach_copy_([target.value.data for target in targets], list(values))
    elif _TENSORFLOW is not None:
        for target, value in zip(targets, values, strict=True):
            # Keras's `assign` checks and casts first: half of the time that a thousand of them take to trace.
            target.value.assign(value, read_value=False)
    else:
        for target, value in zip(targets, values, strict=True):
            target.assign(value)
