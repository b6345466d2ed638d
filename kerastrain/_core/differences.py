"""Two trees of plain data, field by field."""

import json
from typing import Any

from kerastrain._core import dotted_path


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """`field: old -> new` for every leaf in which two dictionaries of plain data differ."""
    before, after = dict(_leaves(old, ())), dict(_leaves(new, ()))
    rows = []
    for place in dict.fromkeys([*before, *after]):
        left, right = (json.dumps(side[place]) if place in side else "nothing" for side in (before, after))
        if left != right:
            rows.append(f"{dotted_path.render(place)}: {left} -> {right}")
    return rows


def _leaves(node: Any, place: dotted_path.Location) -> list[tuple[dotted_path.Location, Any]]:
    if isinstance(node, dict) and (node or not place):
        return [leaf for key, child in node.items() for leaf in _leaves(child, (*place, key))]
    if isinstance(node, list) and node:
        return [leaf for index, child in enumerate(node) for leaf in _leaves(child, (*place, index))]
    return [(place, node)]
