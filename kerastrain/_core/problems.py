"""pydantic's errors as lines a person can act on: place, key, expected, received, closest match."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pydantic

from kerastrain._core.dotted_path import Location, render
from kerastrain._core.errors import InputError, closest, closest_name
from kerastrain._core.yaml_document import Document

_EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "string_pattern_mismatch": "a name of letters, digits, `_`, `.` and `-`",
    "none_required": "null",
}
_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}


def validated(model: type[pydantic.BaseModel], document: Document) -> Any:
    """`model` filled from `document`. Raises InputError with one line a problem."""
    if not isinstance(document.data, dict):
        raise InputError(f"{document.source}: expected a mapping. Received: {_shown(document.data)}.")
    try:
        return model.model_validate(document.data)
    except pydantic.ValidationError as error:
        raise InputError("\n".join(lines(error, document, model))) from None


def lines(error: pydantic.ValidationError, document: Document, model: type[pydantic.BaseModel]) -> list[str]:
    """One line a problem, each place once, in the order of the file."""
    found: dict[str, tuple[int, str]] = {}
    items = [{**item, "place": _present(item["loc"], document.data)} for item in flat(error.errors(include_url=False))]
    misspelled = set()
    for item in items:
        if item["type"] == "extra_forbidden":
            item.setdefault("known", _known(model, item["place"][:-1]))
            misspelled.add((*item["place"][:-1], closest_name(item["place"][-1], item["known"])))
    for item in items:
        location = item["place"]
        if item["type"] == "missing" and location in misspelled:
            continue  # It is there, under a name that is told to be wrong.
        message = explained(item)
        key = render(location)
        found.setdefault(
            key,
            (document.line(location), _one_line(f"{document.where(location)}: {f'`{key}`: ' if key else ''}{message}")),
        )
    return [text for _, text in sorted(found.values(), key=lambda pair: pair[0])]


def flat(items: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The problems themselves, where a component stands for those inside it."""
    for item in items:
        if item["type"] == "component":
            for inner in flat(item["ctx"]["problems"]):
                yield {**inner, "loc": (*item["loc"], *inner["loc"])}
        else:
            yield dict(item)


def _present(location: Location, data: Any) -> Location:
    """`location` without the parts that pydantic adds for the branches of a union."""
    kept: list[str | int] = []
    node = data
    for index, part in enumerate(location):
        there = part in node if isinstance(node, dict) else isinstance(node, list) and part in range(len(node))
        if there:
            node = node[part]
        elif not _is_branch(part) and (isinstance(node, dict | list) or index == len(location) - 1):
            node = None
        else:
            continue
        kept.append(part)
    return tuple(kept)


def _is_branch(part: str | int) -> bool:
    return isinstance(part, str) and (
        part in {"int", "float", "str", "bool", "none", "nullable", "dict", "list"}
        or any(mark in part for mark in "[(-")
    )


def explained(item: dict[str, Any]) -> str:
    """Expected, received and closest match of one problem, without its place."""
    kind, received = item["type"], f" Received: {_shown(item.get('input'))}."
    context = item.get("ctx", {})
    if kind == "message":
        return item["msg"] + ("." + received if "input" in item else ".")
    if kind == "missing":
        return "is missing."
    if kind == "extra_forbidden":
        known = item.get("known", ())
        return f"unknown key.{closest(item['loc'][-1], known)} Known here: {', '.join(known) or 'none'}."
    if kind == "literal_error":
        names = context["expected"].replace("'", "`")
        given = item.get("input")
        options = [name.strip(" `'") for name in context["expected"].replace(" or ", ",").split(",")]
        return f"expected {names}.{received}{closest(given, options) if isinstance(given, str) else ''}"
    if kind in _BOUNDS:
        name, sign = _BOUNDS[kind]
        return f"expected a number {sign} {context[name]:g}.{received}"
    if kind in ("too_short", "string_too_short"):
        unit = "characters" if kind == "string_too_short" else "items"
        return f"expected at least {context['min_length']} {unit}.{received}"
    if kind == "too_long":
        return f"expected at most {context['max_length']} items.{received}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}.{received}"
    text = item["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{text}.{received if 'input' in item and 'Received:' not in text else ''}"


def _one_line(text: str) -> str:
    """What a key or a value has of line ends and other controls, escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _known(model: type[pydantic.BaseModel], location: Location) -> list[str]:
    current: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        fields = getattr(current, "model_fields", {})
        field = next((f for name, f in fields.items() if (f.alias or name) == part), None)
        if field is None:
            return []
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        current = next((o for o in options if isinstance(o, type) and issubclass(o, pydantic.BaseModel)), None)
    return sorted(field.alias or name for name, field in getattr(current, "model_fields", {}).items())


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
