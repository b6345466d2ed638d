"""Checks of constructor arguments: one clear error before any compute."""

import math
import numbers
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastrain._core.errors import InputError, closest

# By argument, what `number` takes beside its name and value: bounds and a remedy.
Bounds = Mapping[str, Mapping[str, Any]]


def whole_number(name: str, value: Any, minimum: int = 1) -> int:
    """`value`, when it is an int >= `minimum`. Raises InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise InputError(f"`{name}` must be a whole number >= {minimum}. Received: {name}={value!r}.")
    return int(value)


def number(
    name: str,
    value: Any,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    remedy: str = "",
) -> float:
    """`value` as a float, when it is finite and within the bounds. Raises InputError otherwise.

    Args:
        name: the argument's name.
        value: what was given; ints and NumPy scalars are taken, booleans are not.
        minimum: the least value allowed.
        above: a value that must be exceeded.
        maximum: the largest value allowed.
        below: a value that must not be reached.
        remedy: what to do instead, added to the message.
    """
    bounds = [
        f"{sign} {bound:g}"
        for sign, bound in ((">=", minimum), (">", above), ("<=", maximum), ("<", below))
        if bound is not None
    ]
    try:
        number = float(value) if not isinstance(value, bool | np.bool_ | str | bytes) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    inside = (
        math.isfinite(number)
        and (minimum is None or number >= minimum)
        and (above is None or number > above)
        and (maximum is None or number <= maximum)
        and (below is None or number < below)
    )
    if not inside:
        expected = f"`{name}` must be a number{' ' + ' and '.join(bounds) if bounds else ''}."
        raise InputError(f"{expected} Received: {name}={value!r}.{' ' + remedy if remedy else ''}")
    return number


def place_for_file(name: str, path: pathlib.Path) -> pathlib.Path:
    """`path`, when a file can be there: it is no folder, and no file is in the place of a folder above it.

    Raises InputError otherwise. Asked where the file will be written at last, before the work.
    """
    if path.is_dir():
        raise InputError(f"`{name}` must be a file. Received: {path}, which is a folder.")
    return place_for_folder(name, path.parent) / path.name


def place_for_folder(name: str, path: pathlib.Path) -> pathlib.Path:
    """`path`, when a folder can be there: neither it nor anything above it is a file. Raises InputError otherwise."""
    for folder in (path, *path.parents):
        if folder.exists() and not folder.is_dir():
            what = "which" if folder == path else f"and {folder}"
            raise InputError(f"`{name}` needs a folder. Received: {path}, {what} is a file. Use another path.")
    return path


def choice(name: str, value: Any, known: tuple[str, ...]) -> str:
    """`value`, when it is one of `known`. Raises InputError with the closest match otherwise."""
    if value not in known:
        options = ", ".join(repr(option) for option in known)
        raise InputError(f"`{name}` must be one of {options}. Received: {name}={value!r}.{closest(value, known)}")
    return str(value)


def boolean(name: str, value: Any) -> bool:
    """`value`, when it is True or False. Raises InputError otherwise."""
    if not isinstance(value, bool):
        raise InputError(f"`{name}` must be True or False. Received: {name}={value!r}.")
    return value
