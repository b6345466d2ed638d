"""What a search file may say about one key of the recipe: the types of parameter, and the values each can take."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field
from pydantic_core import PydanticCustomError

from kerastrain._core import dotted_path
from kerastrain._core.errors import closest
from kerastrain._core.registry import FiniteFloat, PositiveFloat, PositiveInt, problem
from kerastrain.tuning.exact_range import MAX_POINTS, spaced, stepped

_ORDER = ("type", "min", "max", "scale", "step", "num", "values", "when", "repeat")
_BOUND = 2**53  # Beyond it neither a float nor keras-tuner tells whole numbers apart.

Scale = Literal["linear", "log"]
Num = Annotated[int, Field(ge=2, le=MAX_POINTS)]
Whole = Annotated[int, Field(ge=-_BOUND, le=_BOUND)]


def same(left: Any, right: Any) -> bool:
    """Equal as the file tells them apart: `true` is not `1`, yet `1` is `1.0`."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def holds(points: Sequence[Any], value: Any) -> bool:
    """Whether `value` is one of `points`."""
    if isinstance(points, range):
        return isinstance(value, int) and not isinstance(value, bool) and value in points
    return any(same(value, point) for point in points)


class _Parameter(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)

    when: dict[str, list[Any]] = {}
    repeat: Annotated[int, Field(ge=1, le=1000)] | str | None = None

    @pydantic.field_validator("when", mode="before")
    @classmethod
    def _lists(cls, when: Any) -> Any:
        if not isinstance(when, dict):
            return when
        return {key: value if isinstance(value, list) else [value] for key, value in when.items()}

    def plain(self) -> dict[str, Any]:
        """As the user wrote it, without the defaults."""
        return {name: getattr(self, name) for name in _ORDER if name in self.model_fields_set}


class _Range(_Parameter):
    scale: Scale = "linear"
    num: Num | None = None

    def _check(self, low: float, high: float, step: float | None) -> None:
        if low >= high:
            raise problem(("max",), f"`max` must be above `min`, {low:g}", high)
        if self.scale == "log" and low <= 0:
            raise problem(("min",), "on a log scale `min` must be above 0", low)
        if step is not None and self.num is not None:
            raise problem(("num",), "give `step` or `num`, not both", self.num)
        if step is not None:
            try:
                stepped(low, high, step, self.scale)
            except ValueError as error:
                raise problem(("step",), str(error), step) from None


class FloatParameter(_Range):
    """A real number: a range (`min`, `max`, a `scale`, and `step` or `num` for a grid), or a list of `values`."""

    type: Literal["float"]
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    step: PositiveFloat | None = None
    values: Annotated[list[FiniteFloat], Field(min_length=1, max_length=MAX_POINTS)] | None = None

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.values is None:
            if self.min is None or self.max is None:
                raise problem((), "a range needs `min` and `max`; otherwise list the `values`")
            self._check(self.min, self.max, self.step)
            return self
        for name in ("min", "max", "step", "num", "scale"):
            if name in self.model_fields_set:
                raise problem((name,), f"`values` lists every point, so there is no place for `{name}`")
        _refuse_twice(self.values)
        return self

    def points(self) -> Sequence[float] | None:
        """Every value it can take, in order; None for a continuous range."""
        if self.values is not None:
            return self.values
        decimals = _decimals(self.min, self.max, self.step, self.num, self.scale)
        return None if decimals is None else [float(point) for point in decimals]

    def extremes(self) -> Sequence[float]:
        """The values to try a recipe with."""
        return (
            self.values if self.values is not None else [value for value in (self.min, self.max) if value is not None]
        )


class IntParameter(_Range):
    """A whole number of a range: every one, or those of `step` or `num`."""

    type: Literal["int"]
    min: Whole
    max: Whole
    step: PositiveInt | None = None

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._check(self.min, self.max, self.step)
        points = self.points()
        if isinstance(points, list) and len(set(points)) < len(points):
            raise problem(
                ("num",), f"there are fewer than {self.num} whole numbers to tell apart in the range", self.num
            )
        return self

    def points(self) -> Sequence[int] | None:
        """Every value it can take, in order; None for a log range that says no `step` or `num`."""
        decimals = _decimals(self.min, self.max, self.step, self.num, self.scale)
        if decimals is not None:
            return [round(point) for point in decimals]
        return range(self.min, self.max + 1) if self.scale == "linear" else None

    def extremes(self) -> Sequence[int]:
        """The values to try a recipe with."""
        return [self.min, self.max]


class ChoiceParameter(_Parameter):
    """One of a list of values of any kind: numbers, names, null, whole mappings."""

    type: Literal["choice"]
    values: Annotated[list[Any], Field(min_length=1, max_length=MAX_POINTS)]

    @pydantic.field_validator("values")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        for index, value in enumerate(values):
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                raise problem((index,), "expected numbers, text, true, false, null, lists or mappings") from None
        _refuse_twice(values, place=())
        return values

    def points(self) -> Sequence[Any]:
        """Every value it can take, in order."""
        return self.values

    def extremes(self) -> Sequence[Any]:
        """The values to try a recipe with."""
        return self.values


class BoolParameter(_Parameter):
    """True or false."""

    type: Literal["bool"]

    def points(self) -> Sequence[bool]:
        """Every value it can take, in order."""
        return (False, True)

    def extremes(self) -> Sequence[bool]:
        """The values to try a recipe with."""
        return (False, True)


class VariantsParameter(_Parameter):
    """Named variants of a recipe, each of which sets any number of its keys: `{none: {}, wide: {model.width: 64}}`.

    For comparing whole alternatives, such as one factor at a time of an ablation. Its key in the space is a name of
    its own, and no key of the recipe.
    """

    type: Literal["variants"]
    values: Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=MAX_POINTS)]
    repeat: None = None

    @pydantic.field_validator("values")
    @classmethod
    def _are_keys(cls, values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, keys in values.items():
            for path, value in keys.items():
                try:
                    dotted_path.parse(path)
                    json.dumps(value, allow_nan=False)
                except (TypeError, ValueError) as error:
                    raise problem((name, path), str(error).rstrip(".")) from None
        return values

    def points(self) -> Sequence[str]:
        """The names, in order."""
        return list(self.values)

    def extremes(self) -> Sequence[str]:
        """The values to try a recipe with."""
        return list(self.values)


Parameter = FloatParameter | IntParameter | ChoiceParameter | BoolParameter | VariantsParameter

_TYPES: dict[str, type[Parameter]] = {
    "float": FloatParameter,
    "int": IntParameter,
    "choice": ChoiceParameter,
    "bool": BoolParameter,
    "variants": VariantsParameter,
}


def parameter(value: Any) -> Parameter:
    """The parameter that a mapping of the search file describes. Raises PydanticCustomError with its problems."""
    if isinstance(value, FloatParameter | IntParameter | ChoiceParameter | BoolParameter | VariantsParameter):
        return value
    if not isinstance(value, dict):
        raise problem((), "expected a mapping such as {type: float, min: 0.001, max: 0.1, scale: log}", value)
    known = ", ".join(f"`{name}`" for name in _TYPES)
    if "type" not in value:
        raise problem((), f"`type` is missing; expected {known}")
    kind = value["type"]
    if not isinstance(kind, str) or kind not in _TYPES:
        raise problem(("type",), f"unknown type.{closest(kind, _TYPES)} Expected {known}", kind)
    model = _TYPES[kind]
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        items = [{**item, "known": tuple(sorted(model.model_fields))} for item in error.errors(include_url=False)]
        raise PydanticCustomError("component", "see its parts", {"problems": items}) from None


def _decimals(
    low: float | None, high: float | None, step: float | None, num: int | None, scale: str
) -> Sequence[Any] | None:
    if low is None or high is None:
        return None
    if step is not None:
        return stepped(low, high, step, scale)
    return spaced(low, high, num, scale) if num is not None else None


def _refuse_twice(values: list[Any], place: tuple[str, ...] = ("values",)) -> None:
    for index, value in enumerate(values):
        if any(same(value, earlier) for earlier in values[:index]):
            raise problem((*place, index), "the value is listed twice", value)
