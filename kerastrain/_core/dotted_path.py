"""Dotted paths into nested mappings and lists: `model.layers[0].units`."""

import copy
import re
from collections.abc import Callable
from typing import Any

from kerastrain._core.errors import InputError

Location = tuple[str | int, ...]

_PART = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)((?:\[\d+\])*)\Z")


def parse(path: str) -> Location:
    """`"a.b[0].c"` -> `("a", "b", 0, "c")`. Raises InputError on anything else."""
    location: list[str | int] = []
    for part in path.split("."):
        match = _PART.match(part)
        if match is None:
            raise InputError(f"`{path}` is not a dotted path. Expected the form `model.layers[0].units`.")
        location.append(match[1])
        location.extend(int(index) for index in re.findall(r"\d+", match[2]))
    return tuple(location)


def render(location: Location) -> str:
    """`("a", "b", 0)` -> `"a.b[0]"`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _named(location: Location, scalar: Any) -> dict[str, Any]:
    return {"type": scalar} if isinstance(scalar, str) else {}


def replaced(
    data: Any, path: str, value: Any, *, expand: Callable[[Location, Any], dict[str, Any]] = _named
) -> dict[str, Any]:
    """A deep copy of `data` with `value` at `path`.

    Missing mappings on the way are created. A scalar on the way is the shorthand of a mapping, `expand(place, scalar)`:
    by default `{type: scalar}` when it is a name and nothing otherwise. An index must exist, or be the next free one.
    """
    location = parse(path)
    data = copy.deepcopy(data)
    node = data
    for depth, part in enumerate(location):
        last = depth == len(location) - 1
        if isinstance(part, int):
            if not isinstance(node, list) or part > len(node):
                raise InputError(f"`{path}`: there is no element `{render(location[: depth + 1])}` to set.")
            if part == len(node):
                node.append(None)
        elif not isinstance(node, dict):
            raise InputError(f"`{path}`: `{render(location[:depth])}` is not a mapping, so it has no key `{part}`.")
        if last:
            node[part] = value
            break
        child = node[part] if isinstance(part, int) else node.get(part)
        if isinstance(location[depth + 1], int):
            child = [] if child is None else child
        elif not isinstance(child, dict | list):
            child = expand(location[: depth + 1], child)
        node[part] = child
        node = child
    return data


def lookup(data: Any, path: str) -> Any:
    """The value at `path`. Raises KeyError where there is none."""
    node = data
    for part in parse(path):
        if isinstance(node, str):
            raise KeyError(path)
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            raise KeyError(path) from None
    return node
