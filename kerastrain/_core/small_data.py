"""Data of some megabytes on their way into TensorFlow's `fit`: one gather an epoch, and no Python for a batch.

Keras calls a `PyDataset` from within TensorFlow for each batch, and traces new pipelines in each `fit`, for it and for
validation arrays: two thirds of what a `fit` of a few hundred small steps takes. What is used beyond the public API is
the adapter that `fit` makes of a PyDataset; `tests/core/test_small_data.py` fails when Keras changes it.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

# More than that is better gathered batch by batch, while the step before is computed.
SMALL_BYTES = 32 * 2**20


def is_small(data: Any) -> bool:
    """Whether arrays are small enough to be held a second time."""
    return sum(np.asarray(array).nbytes for array in tree.flatten(data)) <= SMALL_BYTES


def prepared_for_fit(batches: Any) -> Any:
    """What to give `fit` in place of `batches`, for the same batches.

    Args:
        batches: a PyDataset with `epoch`, `step`, `batch_size` and `rest_of_epoch()`, as `kerastrain.datasets.Batches`.
    """
    if keras.backend.backend() != "tensorflow" or not is_small((batches.inputs, batches.labels)):
        return batches
    if batches.rest_of_epoch() is None:
        return batches
    base = importlib.import_module("keras.src.trainers.data_adapters.py_dataset_adapter").PyDatasetAdapter
    # Keras takes an adapter for what it is.
    return type("SmallDataAdapter", (base,), {"get_tf_dataset": lambda self: _Epochs(self.py_dataset)})(batches)


def batched(data: Any, batch_size: int) -> Any:
    """A `tf.data.Dataset` of arrays in their order; on other backends, or where they are large, the arrays."""
    if keras.backend.backend() != "tensorflow" or not is_small(data):
        return data
    return _dataset(data, batch_size)


def _dataset(data: Any, batch_size: int) -> Any:
    tensorflow = importlib.import_module("tensorflow")
    options = tensorflow.data.Options()
    # What they do costs more than these pipelines do.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    with tensorflow.device("CPU:0"):
        return tensorflow.data.Dataset.from_tensor_slices(data).batch(batch_size).with_options(options)


class _Epochs:
    """What `fit` asks for an iterator at the beginning of each epoch, and, in vain, at its end."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self._place: tuple[int, int] | None = None
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        place = (self._batches.epoch, self._batches.step)
        if self._iterator is None or place != self._place:
            self._place = place
            self._iterator = iter(_dataset(self._batches.rest_of_epoch(), self._batches.batch_size))
        return self._iterator
