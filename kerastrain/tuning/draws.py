"""Points of a keras-tuner space as pure functions: the same on every machine, after every resume, in any order."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from keras_tuner.engine import hyperparameters as kinds

from kerastrain.tuning.exact_range import stepped

Values = dict[str, Any]
Candidates = Callable[[Any], Sequence[Any]]

_ATTEMPTS = 200
# The last digits of a power depend on the C library; a drawn number is not to.
_DIGITS = 10


def uniform(seed: int, trial: int, name: str, attempt: int = 0) -> float:
    """A number in [0, 1) that is a function of its arguments alone, with 53 random bits."""
    digest = hashlib.sha256(json.dumps([seed, trial, name, attempt]).encode()).digest()
    return float((int.from_bytes(digest[:8], "big") >> 11) * 2.0**-53)


def is_active(hyperparameter: Any, values: Mapping[str, Any]) -> bool:
    """Whether the conditions of a hyperparameter hold; `values` has those of its parents that are active."""
    return all(condition.is_active(values) for condition in hyperparameter.conditions)


def points(hyperparameter: Any) -> Sequence[Any] | None:
    """Every value that a hyperparameter can take, in order and with exact ends; None for a continuous one."""
    if not isinstance(hyperparameter, kinds.Float | kinds.Int):
        return list(hyperparameter.values)
    low, high, step = hyperparameter.min_value, hyperparameter.max_value, hyperparameter.step
    if step is not None and (isinstance(hyperparameter, kinds.Float) or hyperparameter.sampling == "log"):
        kind = float if isinstance(hyperparameter, kinds.Float) else int
        return [kind(point) for point in stepped(low, high, step, hyperparameter.sampling)]
    return range(low, high + 1, step or 1) if isinstance(hyperparameter, kinds.Int) else None


def combinations(space: Sequence[Any], candidates: Candidates) -> Iterator[Values]:
    """Every combination of active values, the first hyperparameter changing slowest.

    Args:
        space: hyperparameters, each after the parents of its conditions.
        candidates: hyperparameter -> the values to try of it.
    """
    yield from _extended(space, candidates, 0, {})


def size(space: Sequence[Any], candidates: Candidates) -> int:
    """How many `combinations` there are, without walking those that no condition depends on."""
    parents = {condition.name for hyperparameter in space for condition in hyperparameter.conditions}
    counts = {id(item): len(candidates(item)) for item in space}
    total = 0
    for values in combinations([item for item in space if item.name in parents], candidates):
        product = 1
        for item in space:
            if item.name not in parents and is_active(item, values):
                product *= counts[id(item)]
        total += product
    return total


def drawn(space: Sequence[Any], seed: int, trial: int, attempt: int = 0) -> Values:
    """A random point: each active value a function of (seed, trial, name, attempt)."""
    values: Values = {}
    for hyperparameter in space:
        if is_active(hyperparameter, values):
            values[hyperparameter.name] = _value(hyperparameter, uniform(seed, trial, hyperparameter.name, attempt))
    return values


def drawn_untried(space: Sequence[Any], seed: int, trial: int, tried: set[str]) -> Values | None:
    """A random point whose `identity` is not in `tried`; None when every point of the space is.

    A point that was tried is drawn again by the number of the attempt. When that goes on, few points are left, and the
    first of them in the order of `combinations` is taken (keras-tuner's own random search gives up there).
    """
    for attempt in range(_ATTEMPTS):
        values = drawn(space, seed, trial, attempt)
        if identity(values) not in tried:
            return values

    def candidates(hyperparameter: Any) -> Sequence[Any]:
        known = points(hyperparameter)
        return known if known is not None else [_value(hyperparameter, uniform(seed, trial, hyperparameter.name))]

    return next((values for values in combinations(space, candidates) if identity(values) not in tried), None)


def identity(values: Mapping[str, Any]) -> str:
    """A text that two points share when they are equal."""
    return json.dumps(values, sort_keys=True)


def _extended(space: Sequence[Any], candidates: Candidates, index: int, values: Values) -> Iterator[Values]:
    if index == len(space):
        yield dict(values)
    elif not is_active(space[index], values):
        yield from _extended(space, candidates, index + 1, values)
    else:
        name = space[index].name
        for value in candidates(space[index]):
            yield from _extended(space, candidates, index + 1, {**values, name: value})


def _value(hyperparameter: Any, probability: float) -> Any:
    if isinstance(hyperparameter, kinds.Int) and hyperparameter.step is None:
        return min(hyperparameter.prob_to_value(probability), hyperparameter.max_value)
    value = hyperparameter.prob_to_value(probability)
    if isinstance(hyperparameter, kinds.Float):
        return min(max(float(f"{value:.{_DIGITS}g}"), hyperparameter.min_value), hyperparameter.max_value)
    return value
