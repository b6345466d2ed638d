"""Gradients under `tf.distribute`: summed over the replicas before anything looks at them.

Keras clips each replica's gradient and sums after that, so the bound holds for none of them.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import keras

_TENSORFLOW: Any = importlib.import_module("tensorflow") if keras.backend.backend() == "tensorflow" else None


def _context() -> Any:
    """TensorFlow's replica context where there is more than one replica, else None."""
    context = None if _TENSORFLOW is None else _TENSORFLOW.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def summed(gradients: Sequence[Any]) -> list[Any]:
    """The sum of each gradient over the replicas; as they are where there is one."""
    context = _context()
    if context is None:
        return list(gradients)
    return list(context.all_reduce(_TENSORFLOW.distribute.ReduceOp.SUM, list(gradients)))


def shared_out(gradients: Sequence[Any]) -> list[Any]:
    """What each replica gives Keras, which sums over the replicas once more: an equal share of `summed` gradients."""
    context = _context()
    return list(gradients) if context is None else [gradient / context.num_replicas_in_sync for gradient in gradients]
