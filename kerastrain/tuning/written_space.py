"""From the space as a file writes it to its parameters: `repeat` written out, conditions checked."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from kerastrain._core import dotted_path
from kerastrain._core.errors import InputError, closest
from kerastrain._core.registry import problem
from kerastrain.tuning.parameters import Parameter, VariantsParameter, holds

INDEX = "[i]"
MAX_REPEAT = 1000


@dataclasses.dataclass(frozen=True)
class WrittenSpace:
    """What a space stands for.

    parameters: dotted path -> parameter, without `repeat`.
    written: dotted path -> the key in the file that it comes from.
    lists: dotted path of a list of the recipe -> its length, or the parameter that is its length.
    """

    parameters: dict[str, Parameter]
    written: dict[str, str]
    lists: dict[str, str | int]


def written_space(space: Mapping[str, Parameter]) -> WrittenSpace:
    """Write out `a[i].b: {..., repeat: n}` as `a[0].b`, `a[1].b`, ..., each on the condition that n is above its index.

    Raises:
        PydanticCustomError: at its place, a key that is no path, a `repeat` without a number, a condition that never
            holds, or conditions in a circle.
    """
    made = WrittenSpace({}, {}, {})
    for key, item in space.items():
        _check_key(space, key, item)
        for path, parameter in _written_out(space, key, item):
            if path in made.parameters:
                raise problem((key,), f"`{made.written[path]}` sets `{path}` too; drop one of the two")
            made.parameters[path], made.written[path] = parameter, key
        if item.repeat is not None:
            _add_list(space, made.lists, key, item.repeat)
    for path, parameter in made.parameters.items():
        for parent, values in parameter.when.items():
            _check_condition(made, path, parent, values)
    _refuse_circles(made)
    return made


def _check_key(space: Mapping[str, Parameter], key: str, item: Parameter) -> None:
    try:
        dotted_path.parse(key.replace(INDEX, "[0]", 1))
    except InputError as error:
        raise problem((key,), str(error).rstrip(".")) from None
    if (item.repeat is not None) != (INDEX in key):
        if item.repeat is None:
            raise problem((key,), f"`{INDEX}` needs `repeat`: a number, or the parameter that says how many there are")
        raise problem((key, "repeat"), f"the key needs an `{INDEX}`, as in `model.layers{INDEX}.units`", item.repeat)
    if item.repeat is None or isinstance(item.repeat, int):
        return
    place, count = (key, "repeat"), space.get(item.repeat)
    if count is None or count.repeat is not None:
        message = f"not a parameter of the space that could be a number of times.{closest(item.repeat, space)}"
        raise problem(place, f"{message} Expected one of: {', '.join(other for other in space if other != key)}")
    points = count.points()
    # Of a range its ends alone: it may have 2^53 points.
    ends: list[Any] = [points[0], points[-1]] if isinstance(points, range) else list(points or [None])
    if not all(isinstance(point, int) and not isinstance(point, bool) for point in ends):
        raise problem(place, f"`{item.repeat}` must be whole numbers: `type: int` or a choice of them")
    if min(ends) < 0 or max(ends) > MAX_REPEAT:
        raise problem(place, f"`{item.repeat}` must be from 0 to {MAX_REPEAT}", [min(ends), max(ends)])


def _written_out(space: Mapping[str, Parameter], key: str, item: Parameter) -> Iterator[tuple[str, Parameter]]:
    if item.repeat is None:
        yield key, item
        return
    counts = list(space[item.repeat].points() or ()) if isinstance(item.repeat, str) else [item.repeat]
    for index in range(max(counts)):
        when = {_at(parent, index): values for parent, values in item.when.items()}
        if isinstance(item.repeat, str):
            asked = when.get(item.repeat, counts)
            when[item.repeat] = [count for count in counts if count > index and holds(asked, count)]
            if not when[item.repeat]:
                continue
        yield _at(key, index), item.model_copy(update={"when": when, "repeat": None})


def _at(path: str, index: int) -> str:
    return path.replace(INDEX, f"[{index}]")


def _add_list(space: Mapping[str, Parameter], lists: dict[str, str | int], key: str, repeat: str | int) -> None:
    path = key[: key.index(INDEX)]
    if lists.setdefault(path, repeat) != repeat:
        raise problem((key, "repeat"), f"`{path}` has one length, and another key says `repeat: {lists[path]}`", repeat)
    setters = [other for other in space if other == path or other.startswith((f"{path}[", f"{path}."))]
    for other in setters:
        if not other.startswith(path + INDEX):
            raise problem((other,), f"`{key}` sets the elements of `{path}`; drop one of the two")
    for other, item in space.items():
        if isinstance(item, VariantsParameter) and any(path in keys for keys in item.values.values()):
            raise problem((other, "values"), f"`{key}` sets the elements of `{path}`; drop one of the two")


def _check_condition(made: WrittenSpace, path: str, parent: str, values: list[Any]) -> None:
    place = (made.written[path], "when", parent)
    if parent not in made.parameters:
        known = dict.fromkeys(made.written.values())
        raise problem(place, f"not a key of the space.{closest(parent, known)} Expected one of: {', '.join(known)}")
    points = made.parameters[parent].points()
    if points is None:
        raise problem(place, f"`{parent}` is a continuous range; a condition needs a parameter with a list of values")
    if not values:
        raise problem(place, f"expected one or more values of `{parent}`", values)
    for value in values:
        if not holds(points, value):
            raise problem(place, f"`{parent}` never takes this value", value)


def _refuse_circles(made: WrittenSpace) -> None:
    for start in made.parameters:
        reached, waiting = set(), list(made.parameters[start].when)
        while waiting:
            path = waiting.pop()
            if path == start:
                message = "the conditions go round in a circle back to the parameter itself"
                raise problem((made.written[start], "when"), message)
            if path not in reached:
                reached.add(path)
                waiting.extend(made.parameters[path].when)
