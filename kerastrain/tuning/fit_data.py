"""What a search over the user's own models trains on."""

import dataclasses
import hashlib
from typing import Any

import keras
import numpy as np

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError


@dataclasses.dataclass(frozen=True)
class FitData:
    """The arguments of `fit` and `evaluate`.

    train, validation, test: `(x, y)` arrays, or something that yields batches; `test` may be None.
    fingerprint: of the arrays; None where there are no arrays to tell it from.
    """

    train: Any
    validation: Any
    test: Any
    fingerprint: str | None


def fit_data(data: Any, validation_data: Any, test_data: Any, validation_split: float, seed: int) -> FitData:
    """The data of a search.

    Args:
        data: `(x, y)` arrays, or structures of arrays; a `tf.data.Dataset` or `PyDataset`; or a pair `(train,
            validation)` of any of these.
        validation_data: as `data`; None holds a share of the arrays out, or takes the second of a pair.
        test_data: as `data`, or None.
        validation_split: the share that is held out, in (0, 1), drawn from `seed`.
        seed: of the split.

    Raises:
        InputError: there is nothing to validate on, or arrays are of unequal lengths.
    """
    if validation_data is None and isinstance(data, tuple | list) and len(data) == 2 and not _is_array_like(data[0]):
        data, validation_data = data
    for name, given in (("data", data), ("validation_data", validation_data), ("test_data", test_data)):
        _check(name, given)
    if validation_data is None:
        if not isinstance(data, tuple):
            raise InputError(
                "`data`: the objective is on validation data. Received: batches alone. Give a pair (train, "
                "validation), or `validation_data`."
            )
        data, validation_data = _held_out(data, number("validation_split", validation_split, above=0, below=1), seed)
    parts = (data, validation_data, test_data)
    arrays = [part for part in parts if part is not None]
    known = all(isinstance(part, tuple) for part in arrays)
    return FitData(*parts, _fingerprint(arrays) if known else None)


def _is_array_like(value: Any) -> bool:
    """Whether it is arrays of samples rather than a data set of its own."""
    return not isinstance(value, tuple | list | keras.utils.PyDataset) and (
        hasattr(value, "shape") or isinstance(value, dict)
    )


def _check(name: str, given: Any) -> None:
    if given is None and name != "data":
        return
    if given is None or isinstance(given, str):
        raise InputError(f"`{name}`: expected (x, y) arrays, a tf.data.Dataset or a PyDataset. Received: {given!r}.")
    if isinstance(given, tuple):
        lengths = {len(array) for array in keras.tree.flatten(given)}
        if len(given) != 2 or len(lengths) != 1:
            raise InputError(
                f"`{name}`: expected (x, y) of equal length. Received: {len(given)} parts of "
                f"{', '.join(map(str, sorted(lengths)))} samples."
            )


def _held_out(data: tuple[Any, Any], share: float, seed: int) -> tuple[Any, Any]:
    samples = len(keras.tree.flatten(data)[0])
    held = max(1, round(share * samples))
    if held >= samples:
        raise InputError(f"`data`: expected at least two samples. Received: {samples}.")
    order = np.random.default_rng([seed, 5]).permutation(samples)

    def some(chosen: np.ndarray) -> Any:
        return keras.tree.map_structure(lambda array: np.asarray(array)[chosen], data)

    return some(np.sort(order[held:])), some(np.sort(order[:held]))


def _fingerprint(parts: list[Any]) -> str:
    digest = hashlib.sha256()
    for array in keras.tree.flatten(parts):
        values = np.ascontiguousarray(array)
        digest.update(f"{values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]
