"""Many training steps in one call of JAX, which Keras calls once a step whatever `steps_per_execution` says."""

import importlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import tree


def scan_steps(model: keras.Model) -> bool:
    """Let `fit` run the model's `steps_per_execution` steps as one `jax.lax.scan` over Keras's own `train_step`.

    Returns:
        Whether that is so: on JAX, compiled, with more than one step to an execution and no `keras.distribution`.
    """
    several = keras.backend.backend() == "jax" and model.jit_compile and model.steps_per_execution > 1
    if not several or keras.distribution.distribution() is not None:
        return False
    # `fit` makes one where there is none, and `compile` takes it away.
    model.train_function = _Scanned(model)
    return True


class _Scanned:
    """What Keras calls with its state and the iterator over batches."""

    def __init__(self, model: keras.Model) -> None:
        jax: Any = importlib.import_module("jax")
        self._model = model
        self._many = jax.jit(self._scan, donate_argnums=0)
        self._jax = jax

    def __call__(self, state: Any, iterator: Iterator[Any]) -> Any:
        batches = [next(iterator)]
        while len(batches) < self._model.steps_per_execution:
            try:
                batches.append(next(iterator))
            except StopIteration:
                break
        logs = None
        for equal in _runs_of_one_shape(batches):  # The last batch of an epoch may be a smaller one.
            logs, state = self._many(state, equal)
        return logs, state

    def _scan(self, state: Any, batches: list[Any]) -> Any:
        def stacked_parts(*parts: Any) -> Any:
            return None if parts[0] is None else self._jax.numpy.stack(parts)

        stacked = tree.map_structure(stacked_parts, *batches)

        def step(state: Any, batch: Any) -> Any:
            logs, state = self._model.train_step(state, batch)
            return state, logs

        state, logs = self._jax.lax.scan(step, state, stacked)
        return tree.map_structure(lambda values: values[-1], logs), state


def _runs_of_one_shape(batches: list[Any]) -> list[list[Any]]:
    runs: list[list[Any]] = []
    before = None
    for batch in batches:
        shapes = [tuple(part.shape) for part in tree.flatten(batch) if part is not None]
        if shapes == before:
            runs[-1].append(batch)
        else:
            runs.append([batch])
        before = shapes
    return runs
