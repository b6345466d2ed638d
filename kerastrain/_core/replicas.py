"""Replicas under `tf.distribute`: gradients are summed over them before anything looks at them, and a branch is one for
all of them.

Keras clips each replica's gradient and sums after that, so the bound holds for none of them.
"""

import contextlib
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._core.errors import InputError

_TENSORFLOW: Any = importlib.import_module("tensorflow") if keras.backend.backend() == "tensorflow" else None
_SUPPORTED = ("MirroredStrategy", "OneDeviceStrategy")


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


def conditional(predicate: Any, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
    """Run `then` or `otherwise` on every replica, as the `predicate` says, which is the same on all of them.

    TensorFlow lets no replica update a variable together with the others from within a branch of its own. So the branch
    is taken for all at once, and each replica goes on inside of it.
    """
    context = _context()
    if context is None:
        keras.ops.cond(predicate, then, otherwise)
        return

    def on_all(strategy: Any, predicates: Any, thens: Any, others: Any) -> None:
        def run(functions: Any) -> Callable[[], None]:
            def on_each() -> None:
                strategy.extended.call_for_each_replica(lambda function: function(), args=(functions,))

            return on_each

        keras.ops.cond(strategy.experimental_local_results(predicates)[0], run(thens), run(others))

    context.merge_call(on_all, args=(predicate, then, otherwise))


def strategy_of(model: Any = None) -> Any:
    """The `tf.distribute` strategy that a model was made under, or that is entered now; None where there is none."""
    if _TENSORFLOW is None:
        return None
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None:
        strategy = _TENSORFLOW.distribute.get_strategy()
    # The one that TensorFlow has where nobody asked for any.
    return None if type(strategy).__name__ == "_DefaultDistributionStrategy" else strategy


def replicas_of(model: Any = None) -> int:
    """How many replicas `strategy_of` has; 1 where there is none."""
    strategy = strategy_of(model)
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def check_strategy(model: Any = None) -> None:
    """Raise InputError under a strategy with which Keras 3 does not train, or of which nothing is known here."""
    strategy = strategy_of(model)
    if strategy is None or type(strategy).__name__.removesuffix("V1") in _SUPPORTED:
        return
    name = type(strategy).__name__.removesuffix("V2")
    name = {"CollectiveAllReduceStrategy": "MultiWorkerMirroredStrategy"}.get(name, name)
    raise InputError(
        f"Keras 3 does not train under tf.distribute.{name}. Use tf.distribute.MirroredStrategy for the devices of one "
        "machine; for several machines, or TPUs, KERAS_BACKEND=jax with keras.distribution (docs/distribution.md)."
    )


def scope_of(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Where variables of a model are made for all its replicas."""
    strategy = strategy_of(model)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def copies_of(variable: keras.Variable) -> list[np.ndarray] | None:
    """The replicas' own copies of a variable where they are not all the same; None where they are, or there is one.

    Metrics add up their own samples, and batch normalization keeps its own statistics unless it is `synchronized`.
    """
    own = _own(variable)
    values = [np.array(each) for each in own]
    if len(values) < 2 or all(_same(value, values[0]) for value in values[1:]):
        return None
    return values


def set_copies(variable: keras.Variable, values: Sequence[np.ndarray]) -> None:
    """Give each replica its own copy back; where there are not as many replicas as copies, nothing is done."""
    own = _own(variable)
    if len(own) == len(values):
        for each, value in zip(own, values, strict=True):
            each.assign(value)


def _own(variable: keras.Variable) -> list[Any]:
    value = None if _TENSORFLOW is None else variable.value
    if not isinstance(value, _TENSORFLOW.distribute.DistributedValues if _TENSORFLOW is not None else ()):
        return []
    # Not the values of a strategy that is entered: whose variable it is.
    return list(value.distribute_strategy.experimental_local_results(value))


def _same(value: np.ndarray, other: np.ndarray) -> bool:
    return value.tobytes() == other.tobytes()
