"""Many training steps in one call of JAX, which Keras calls once a step whatever `steps_per_execution` says."""

import contextlib
import importlib
import itertools
from collections.abc import Iterator
from typing import Any

import keras
from keras import tree

from kerastrain._core import keras_training


def scan_steps(model: keras.Model, images_on_device: bool = False) -> bool:
    """Let `fit` run the model's `steps_per_execution` steps as one `jax.lax.scan` over Keras's own `train_step`.

    Args:
        model: compiled.
        images_on_device: whether the images of a `kerastrain.datasets.Batches` are moved to the device once, and each
            batch is made there within the step. A data set with `on_device()` and `as_places()` is asked for them.

    Returns:
        Whether that is so: on JAX, compiled, with more than one step to an execution or images on the device, and no
        `keras.distribution`.
    """
    scanned = keras.backend.backend() == "jax" and model.jit_compile
    if not scanned or keras.distribution.distribution() is not None:
        return False
    if model.steps_per_execution == 1 and not images_on_device:
        return False
    # `fit` makes one where there is none, and `compile` takes it away.
    model.train_function = _Scanned(model, images_on_device)
    return True


class _Scanned:
    """What Keras calls with its state and the iterator over batches."""

    def __init__(self, model: keras.Model, images_on_device: bool) -> None:
        jax: Any = importlib.import_module("jax")
        self._model, self._images_on_device = model, images_on_device
        self._many = jax.jit(self._scan, donate_argnums=0, static_argnums=3)
        self._jax = jax

    def __call__(self, state: Any, iterator: Iterator[Any]) -> Any:
        fitted = keras_training.fitted_data() if self._images_on_device else None
        data: Any = None if fitted is None else fitted[0]
        images, making = (data.on_device() if hasattr(data, "on_device") else None) or (None, None)
        # Keras's iterator asks the data set for a batch within `next`, for this one or for the one behind it.
        with data.as_places() if making is not None else contextlib.nullcontext():
            batches = list(itertools.islice(iterator, self._model.steps_per_execution))
        if not batches:
            raise StopIteration
        logs = None
        for equal in _runs_of_one_shape(batches):  # The last batch of an epoch may be a smaller one.
            logs, state = self._many(state, equal, images, making)
        return logs, state

    def _scan(self, state: Any, batches: list[Any], images: Any, making: Any) -> Any:
        def stacked_parts(*parts: Any) -> Any:
            return None if parts[0] is None else self._jax.numpy.stack(parts)

        stacked = tree.map_structure(stacked_parts, *batches)

        def step(state: Any, batch: Any) -> Any:
            if making is not None:
                batch = (making.batch(images, batch[0]), *batch[1:])
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
