"""Names for YAML: each registry maps a name to something callable, its typed arguments and a description."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import pydantic
from annotated_types import Ge, Gt, Le, Lt
from pydantic_core import PydanticCustomError

from kerastrain._core.dotted_path import render
from kerastrain._core.errors import InputError, closest
from kerastrain._core.problems import explained, flat

# Not by pydantic's Field, whose repr `help()` would show in the signature of everything that has these types.
_FINITE = pydantic.AllowInfNan(False)
PositiveFloat = Annotated[float, Gt(0), _FINITE]
NonNegativeFloat = Annotated[float, Ge(0), _FINITE]
UnitInterval = Annotated[float, Ge(0), Le(1)]
Fraction = Annotated[float, Ge(0), Lt(1)]
FiniteFloat = Annotated[float, _FINITE]
PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]

_STRICT = pydantic.ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=())


@dataclasses.dataclass(frozen=True)
class Entry:
    """One name: what it makes, with which arguments, in one line."""

    name: str
    target: Callable[..., Any]
    description: str
    arguments: type[pydantic.BaseModel]


class Registry:
    """Names of one kind, such as activations; what a recipe's `type:` may say.

    Args:
        kind: what the names are, in the singular, as error messages say it.
        key: the mapping key that holds the name (`type`, or `topology`).
        scalar: `(name, argument)` that a bare number is the shorthand of, such as `("dropout", "rate")`.
    """

    def __init__(self, kind: str, *, key: str = "type", scalar: tuple[str, str] | None = None) -> None:
        self.kind = kind
        self.article = "an" if kind[0] in "aeiou" else "a"
        self.key = key
        self.scalar = scalar
        self._entries: dict[str, Entry] = {}

    def add(
        self,
        name: str,
        target: Callable[..., Any],
        description: str,
        *,
        only: Mapping[str, Any] | None = None,
        skip: tuple[str, ...] = (),
        **annotations: Any,
    ) -> None:
        """Register `target` under `name`.

        Its arguments are read from its signature, without `skip`; `annotations` give an argument a narrower type than
        its default tells. With `only`, nothing is read: the mapping (name -> (type, default)) is the whole.
        """
        if name in self._entries:
            raise ValueError(f"The {self.kind} `{name}` is registered already.")
        fields = dict(only) if only is not None else _fields(target, skip, annotations)
        arguments = pydantic.create_model(f"{name}_arguments", __config__=_STRICT, **fields)
        self._entries[name] = Entry(name, target, description, arguments)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            raise InputError(self._unknown(name))
        return self._entries[name]

    def names(self) -> list[str]:
        return sorted(self._entries)

    def _unknown(self, name: object) -> str:
        shown = str(name) if len(str(name)) <= 80 else f"{str(name)[:77]}..."
        return f"unknown {self.kind} `{shown}`.{closest(name, self._entries)} Known: {', '.join(self.names())}."

    def expand(self, value: Any) -> Any:
        """The mapping that a shorthand stands for; anything else unchanged."""
        if isinstance(value, str):
            return {self.key: value}
        if isinstance(value, int | float) and not isinstance(value, bool) and self.scalar is not None:
            name, argument = self.scalar
            return {self.key: name, argument: value}
        return value

    def validate(self, value: Any) -> dict[str, Any]:
        """The full mapping, `{key: name, argument: value, ...}` with defaults filled in.

        Raises PydanticCustomError, whose context lists the problems with their places (see `_core.problems`).
        """
        value = self.expand(value)
        if not isinstance(value, dict):
            shorthand = ", a number" if self.scalar else ""
            raise problem(
                (), f"expected the name of {self.article} {self.kind}{shorthand} or a mapping with `{self.key}`", value
            )
        if self.key not in value:
            # The slip is in the key where its value is a name that is known.
            slips = [key for key, item in value.items() if isinstance(item, str) and item in self._entries]
            received = f'"{slips[0]}: {value[slips[0]]}" in place of `{self.key}`' if slips else "nothing"
            raise problem((self.key,), f"expected the name of {self.article} {self.kind}. Received: {received}")
        name = value[self.key]
        if not isinstance(name, str) or name not in self._entries:
            raise problem((self.key,), self._unknown(name).rstrip("."))
        given = {key: item for key, item in value.items() if key != self.key}
        try:
            arguments = self._entries[name].arguments.model_validate(given)
        except pydantic.ValidationError as error:
            known = tuple(self._entries[name].arguments.model_fields)
            raise PydanticCustomError(
                "component",
                "see its parts",
                {"problems": [{**item, "known": known} for item in error.errors(include_url=False)]},
            ) from None
        return {self.key: name, **arguments.model_dump()}

    def arguments(self, value: Any) -> tuple[Entry, dict[str, Any]]:
        """Validate `value`, and return what it names and the arguments. Raises InputError."""
        try:
            full = self.validate(value)
        except PydanticCustomError as error:
            raise InputError(_first_message(error)) from None
        return self._entries[full.pop(self.key)], full

    def create(self, value: Any, **context: Any) -> Any:
        """Validate `value` and call its target with the arguments and `context`."""
        entry, arguments = self.arguments(value)
        return entry.target(**arguments, **context)


def problem(location: tuple[str | int, ...], message: str, received: Any = ...) -> PydanticCustomError:
    """An error about the place `location` below the value being validated, for raising inside a validator."""
    item: dict[str, Any] = {"type": "message", "loc": location, "msg": message}
    if received is not ...:
        item["input"] = received
    return PydanticCustomError("component", "see its parts", {"problems": [item]})


def component(registry: Registry) -> Any:
    """The pydantic type of a place that takes a name, a shorthand or a mapping of `registry`."""
    return Annotated[dict[str, Any], pydantic.PlainValidator(registry.validate)]


def _first_message(error: PydanticCustomError) -> str:
    first = next(flat((error.context or {})["problems"]))
    place = render(first["loc"])
    return f"`{place}`: {explained(first)}" if place else explained(first)


def _fields(target: Callable[..., Any], skip: tuple[str, ...], annotations: dict[str, Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        hints = {}
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if name in skip or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        annotation = annotations.get(name, hints.get(name, ...))
        if annotation is ... and not required:
            annotation = _inferred(parameter.default)
        if annotation is ...:
            raise TypeError(f"{target} leaves its argument `{name}` without a type; give it one to `add`.")
        fields[name] = (annotation, ... if required else parameter.default)
    unknown = set(annotations) - set(fields)
    if unknown:
        raise TypeError(f"{target} has no arguments {sorted(unknown)}.")
    return fields


def _inferred(default: Any) -> Any:
    if isinstance(default, bool | int | float | str):
        return FiniteFloat if isinstance(default, float) else type(default)
    if default is None:
        return FiniteFloat | str | bool | None
    raise TypeError(f"No type can be told from the default {default!r}; give one to `add`.")
