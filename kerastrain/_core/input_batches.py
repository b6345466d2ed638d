"""The inputs of a model, batch by batch, out of whatever holds them."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from kerastrain._core.errors import InputError


def input_batches(data: Any, batch_size: int) -> Iterator[Any]:
    """The batches of arrays, of a dictionary of arrays, of a PyDataset, or of an iterable of batches.

    Of a batch that is a tuple or a list the first part is taken: the rest is labels, as in `keras.Model.fit`. A
    PyDataset without an end has none here.

    Raises:
        InputError: `data` is something else, or arrays of a dictionary have unlike numbers of samples.
    """
    if isinstance(data, keras.utils.PyDataset):
        count = data.num_batches
        for index in itertools.count() if count is None else range(count):
            yield _inputs(data[index])
    elif isinstance(data, dict):
        samples = {name: len(array) for name, array in data.items()}
        if len(set(samples.values())) > 1:
            raise InputError(f"`data` must have as many samples under every name. Received: {samples}.")
        for start in range(0, max(samples.values(), default=0), batch_size):
            yield {name: array[start : start + batch_size] for name, array in data.items()}
    elif hasattr(data, "shape") and len(data.shape):
        for start in range(0, data.shape[0], batch_size):
            yield data[start : start + batch_size]
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes) and not hasattr(data, "shape"):
        for batch in data:
            yield _inputs(batch)
    else:
        raise InputError(f"`data` must be arrays, a PyDataset or an iterable of batches. Received: {data!r}.")


def _inputs(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple | list) and batch else batch
