"""Whether a model takes the data that it is to be fitted on, seen before the first trial."""

from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core.errors import InputError
from kerastrain.tuning.error_text import one_line
from kerastrain.tuning.fit_data import FitData

# Not about the data: a smaller model of the same search may do.
_OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError")


def check_batches(model: keras.Model, data: FitData, batch_size: int) -> None:
    """Evaluate `model` on the first batch of each set of `data`: forward, loss and metrics, not compiled.

    Args:
        model: a compiled one, which is used for nothing else.
        data: of the search.
        batch_size: of arrays.

    Raises:
        InputError: what the model, the loss or a metric says to it, with the shapes that were given.
    """
    model.run_eagerly = True  # One batch is not worth a compilation.
    parts = {"data": data.train, "validation_data": data.validation, "test_data": data.test}
    for name, part in parts.items():
        batch = _first_batch(part, batch_size)
        if batch is None:
            continue
        try:
            model.test_on_batch(*batch)
        except Exception as error:
            if type(error).__name__ in _OUT_OF_MEMORY:
                return
            raise InputError(
                f"`{name}`: the model that `build` makes for the first trial does not take it. Received: "
                f"{_described(batch)}. {type(error).__name__}: {one_line(error)}"
            ) from None


def _first_batch(part: Any, batch_size: int) -> Sequence[Any] | None:
    """The arguments of `test_on_batch`; None where nothing can be read without being used up."""
    if isinstance(part, tuple):
        return [keras.tree.map_structure(lambda array: array[:batch_size], side) for side in part]
    if isinstance(part, keras.utils.PyDataset):
        batch = part[0]
    elif hasattr(part, "take"):  # A tf.data.Dataset.
        batch = next(iter(part.take(1)), None)
    else:
        return None
    return batch if isinstance(batch, tuple) and 2 <= len(batch) <= 3 else None


def _described(batch: Sequence[Any]) -> str:
    """The inputs and targets of a batch, each as its dtype and shape."""

    def one(array: Any) -> str:
        return f"{keras.backend.standardize_dtype(array.dtype)}{tuple(array.shape)}"

    sides = zip(("inputs", "targets", "sample weights"), batch, strict=False)
    return ", ".join(f"{name} {keras.tree.map_structure(one, side)}" for name, side in sides)
