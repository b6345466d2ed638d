"""The processes of one training under `keras.distribution`: who of them does what, and what they tell one another.

Every process runs the same script, and has to come to the same exchanges in the same order.
"""

import contextlib
import importlib
import itertools
import json
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import keras

from kerastrain._core import atomic_files
from kerastrain._core.errors import InputError, RefusedError, WorkFailedError

_ERRORS: dict[str, Any] = {kind.__name__: kind for kind in (InputError, RefusedError, WorkFailedError)}
_NUMBERS = itertools.count()
# In milliseconds. The first process may be writing a large checkpoint; of one that has died JAX tells the others.
_PATIENCE = 24 * 60 * 60 * 1000


def distribution() -> Any:
    """The `keras.distribution` that is set, or None; on JAX only, since elsewhere Keras takes no notice of it."""
    return keras.distribution.distribution() if keras.backend.backend() == "jax" else None


def count() -> int:
    """How many processes train together; 1 without a `keras.distribution`."""
    found = distribution()
    return 1 if found is None else int(found.num_processes)


def is_first() -> bool:
    """Whether this process is the one that writes files and speaks."""
    return count() == 1 or int(importlib.import_module("jax").process_index()) == 0


def share() -> tuple[int, int]:
    """Which part of a batch is this process's: its number, counted from 0, and how many parts there are.

    Processes that have one replica of a sharded model between them take the same part, as Keras shares out a
    `tf.data.Dataset`.
    """
    if count() == 1:
        return 0, 1
    return int(distribution().data_shard_id), min(count(), int(distribution().num_model_replicas))


def devices_of_a_share() -> int:
    """By how many devices the part of a batch is divided that a process has."""
    if distribution() is None:
        return 1
    replicas = int(distribution().num_model_replicas)
    return replicas // min(count(), replicas)


def exchanged(value: Any) -> list[Any]:
    """What each process gave, JSON, in the order of their numbers.

    Raises:
        What another process has told by `together`.
    """
    if count() == 1:
        return [value]
    answers = _gathered({"value": value})
    for number, answer in enumerate(answers):
        if "error" in answer:
            kind, message = answer["error"]
            error = _ERRORS.get(kind, WorkFailedError)(f"process {number}: {message}")
            error.told = True  # So that `together` does not tell it once more.
            raise error
    return [answer["value"] for answer in answers]


def from_first(value: Any) -> Any:
    """What the first process gave, JSON."""
    return exchanged(value)[0]


@contextlib.contextmanager
def together() -> Iterator[None]:
    """All processes come to the end of the block, or none: what one raises in it, the others raise too.

    Without it the others would wait in their next step for one that is gone.
    """
    try:
        yield
    except Exception as error:
        if count() > 1 and not getattr(error, "told", False):
            _gathered({"error": [type(error).__name__, str(error)]})
        raise
    exchanged(None)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """`atomic_files.replacing`, where the file of the first process stays and those of the others go.

    All of them have to call `model.save`: it makes a variable on the way, and in that JAX waits for every process.
    """
    with together():
        if is_first():
            with atomic_files.replacing(path) as temporary:
                yield temporary
        else:
            with tempfile.TemporaryDirectory() as folder:
                yield pathlib.Path(folder) / path.name


def _gathered(value: Any) -> list[Any]:
    """By the service over which JAX's processes have found one another, which has no public name.

    Not by a collective operation: one that meets those of a training step under way, in another order in another
    process, breaks both.
    """
    client = importlib.import_module("jax._src.distributed").global_state.client
    own = int(importlib.import_module("jax").process_index())
    number = next(_NUMBERS)
    client.key_value_set(_key(number, own), json.dumps(value))
    values = [json.loads(client.blocking_key_value_get(_key(number, each), _PATIENCE)) for each in range(count())]
    if number > 1:  # All have answered the one before, so they have read those before it.
        client.key_value_delete(_key(number - 2, own))
    return values


def _key(number: int, process: int) -> str:
    return f"kerastrain/{number}/{process}"
