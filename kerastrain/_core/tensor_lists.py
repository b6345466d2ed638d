"""Arithmetic over a list of tensors of unlike shapes, in as few kernels as the backend allows.

An optimizer step is thousands of small kernels, and their number is its cost: torch has one call for a whole list, and
TensorFlow one kernel for a sum of squares where `keras.ops` needs two.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import keras


def _backend(name: str) -> Any:
    # Keras has imported it already.
    return importlib.import_module(name) if keras.backend.backend() == name else None


_TENSORFLOW = _backend("tensorflow")
_TORCH = _backend("torch")


def dense(gradient: Any) -> Any:
    """`gradient` as one dense tensor: TensorFlow gives `IndexedSlices` for an embedding, with repeated rows apart."""
    if _TENSORFLOW is not None and isinstance(gradient, _TENSORFLOW.IndexedSlices):
        return _TENSORFLOW.convert_to_tensor(gradient)
    return gradient


def squared_norms(tensors: Sequence[Any]) -> Any:
    """The sum of squares of each tensor, float32, as one tensor `(len(tensors),)`."""
    wide = [keras.ops.cast(tensor, "float32") for tensor in tensors]
    if _TENSORFLOW is not None:
        return 2.0 * _TENSORFLOW.stack([_TENSORFLOW.nn.l2_loss(tensor) for tensor in wide])
    if _TORCH is not None:
        return _TORCH.square(_TORCH.stack(_TORCH._foreach_norm(wide)))
    return keras.ops.stack([keras.ops.sum(keras.ops.square(tensor)) for tensor in wide])


def all_finite(tensors: Sequence[Any]) -> Any:
    """Whether every element of every tensor is a finite number, as a scalar boolean tensor."""
    return keras.ops.all(keras.ops.stack([keras.ops.all(keras.ops.isfinite(tensor)) for tensor in tensors]))


def scaled(tensors: Sequence[Any], factor: Any) -> list[Any]:
    """Each tensor times one scalar tensor, in the tensor's dtype."""
    if _TORCH is not None and len({tensor.dtype for tensor in tensors}) == 1:
        return list(_TORCH._foreach_mul(list(tensors), keras.ops.cast(factor, tensors[0].dtype)))
    return [tensor * keras.ops.cast(factor, tensor.dtype) for tensor in tensors]


def blend_into(targets: Sequence[Any], sources: Sequence[Any], decay: Any) -> None:
    """`target = decay * target + (1 - decay) * source` for each pair of variables.

    At decay 0 the target becomes the source, at decay 1 it stays, both exactly. Float16 and bfloat16 are blended in
    float32: they have no 0.999.
    """
    decay = keras.ops.cast(decay, "float32")
    if _TORCH is not None and {variable.dtype for variable in [*targets, *sources]} == {"float32"}:
        with _TORCH.no_grad():
            into, out_of = [target.value for target in targets], [source.value for source in sources]
            _TORCH._foreach_mul_(into, decay)
            _TORCH._foreach_add_(into, _TORCH._foreach_mul(out_of, 1 - decay))
        return
    rest = 1 - decay
    for target, source in zip(targets, sources, strict=True):
        wide = keras.backend.result_type(target.dtype, "float32")
        kept = keras.ops.cast(decay, wide) * keras.ops.cast(target, wide)
        target.assign(keras.ops.cast(kept + keras.ops.cast(rest, wide) * keras.ops.cast(source, wide), target.dtype))


def copy_into(targets: Sequence[Any], sources: Sequence[Any]) -> None:
    """Each target takes the source's value; the two never share a buffer, which JAX could not donate."""
    for target, source in zip(targets, sources, strict=True):
        target.assign(keras.ops.copy(source) if hasattr(keras.ops, "copy") else source + keras.ops.zeros_like(source))
