"""The search file: one typed YAML document that says what to search, how, and for how long."""

import pathlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from kerastrain import experiments
from kerastrain._core import dotted_path, problems, yaml_document
from kerastrain._core.errors import InputError
from kerastrain._core.registry import PositiveFloat, PositiveInt, problem
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.parameters import Parameter, VariantsParameter, parameter
from kerastrain.tuning.pruner_parts import PRUNERS
from kerastrain.tuning.written_space import WrittenSpace, written_space

_CLOCK = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?\Z")


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class Strategy(_Section):
    """Which points of the space are tried: `random`, or every one of a `grid`."""

    strategy: Literal["random", "grid"]
    max_trials: Annotated[int, Field(ge=1, le=100_000)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class Budget(_Section):
    """How long: `epochs` of each trial instead of the recipe's; a `wall_clock`, and `total_epochs` of all trainings
    together, after which no trial starts."""

    epochs: PositiveInt | None = None
    total_epochs: PositiveInt | None = None
    wall_clock: PositiveFloat | str | None = None

    @pydantic.field_validator("wall_clock")
    @classmethod
    def _is_a_time(cls, value: float | str | None) -> float | str | None:
        if isinstance(value, str) and not _seconds(value):
            raise problem((), "expected seconds, or a time such as `90s`, `30m` or `1h30m`", value)
        return value

    @property
    def wall_clock_seconds(self) -> float | None:
        """`wall_clock` as a number."""
        return _seconds(self.wall_clock) if isinstance(self.wall_clock, str) else self.wall_clock


class SearchConfig(_Section):
    """A whole search. `load_config` reads it from a file and reports file:line.

    Args:
        schema: 1.
        name: of the search, and of its folder.
        recipe: the name of a shipped recipe, or a path relative to the search file. A search of a `build` function has
            none, and it may leave its `space` to the function.
        objective: `metric` (`val_loss`, `val_accuracy`, ...) and `mode` (`min`, `max`).
        search: `strategy` (`random`, `grid`), `max_trials`, `seed`.
        budget: `epochs`, `total_epochs` and `wall_clock`, each optional.
        repeats: how often each point is trained, from seeds that are the same for every point: the recipe's
            `training.seed`, that plus 1, and so on. The value of a point is the mean.
        pruner: which trials end early, such as `{type: median, startup_trials: 8, warmup_epochs: 5}`; none by default.
        set: dotted path into the recipe -> value, the same for every trial.
        space: dotted path into the recipe -> `{type: float | int | choice | bool, ...}`; with `[i]` and `repeat` for
            the elements of a list; or a name -> `{type: variants, ...}`.
    """

    schema_: Literal[1] = Field(1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    recipe: Annotated[str, Field(min_length=1)] | None = None
    objective: Objective
    search: Strategy
    budget: Budget = Budget()
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    pruner: Annotated[dict[str, Any], pydantic.PlainValidator(PRUNERS.validate)] | None = None
    set_: dict[str, Any] = Field({}, alias="set")
    space: Annotated[dict[str, Annotated[Parameter, pydantic.PlainValidator(parameter)]], Field(max_length=100)] = {}
    _source: yaml_document.Document | None = pydantic.PrivateAttr(None)

    @pydantic.field_validator("space")
    @classmethod
    def _is_a_space(cls, space: dict[str, Parameter]) -> dict[str, Parameter]:
        written_space(space)
        for path, item in space.items():
            if isinstance(item, VariantsParameter):
                _check_variants(space, path, item)
        return space

    @pydantic.field_validator("set_")
    @classmethod
    def _are_keys(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for path in settings:
            try:
                dotted_path.parse(path)
            except InputError as error:
                raise problem((path,), str(error).rstrip(".")) from None
        return settings

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.recipe is not None and not self.objective.is_known:
            raise self.objective.unknown(("objective", "metric"))
        for path in self.set_:
            for place in places_of(self.space, path):
                raise problem(("set", path), f"`space.{place[0]}` sets it; drop one of the two")
        if self.budget.epochs is not None and "training.epochs" in self.set_:
            raise problem(("set", "training.epochs"), "`budget.epochs` sets it; drop one of the two")
        for place in places_of(self.space, "training.epochs") if self.budget.epochs is not None else ():
            raise problem(("space", *place), "`budget.epochs` sets it for every trial; drop one of the two")
        for place in places_of(self.space, "training.seed") if self.repeats > 1 else ():
            raise problem(("space", *place), "`repeats` sets it for every training; drop one of the two")
        if self.search.strategy == "grid":
            for path, item in self.space.items():
                if item.points() is None:
                    raise problem(("space", path), "a grid needs the points of a range: add `num`, `step` or `values`")
        return self

    @property
    def source(self) -> yaml_document.Document:
        """The file that it was read from, for the places of errors."""
        return self._source or yaml_document.Document("search configuration", self.plain(), {})

    def written(self) -> WrittenSpace:
        """What the space stands for."""
        return written_space(self.space)

    @property
    def folder(self) -> pathlib.Path:
        """Where a relative recipe path starts."""
        return pathlib.Path(self._source.source).parent if self._source else pathlib.Path()

    def with_max_trials(self, max_trials: int) -> "SearchConfig":
        """A copy with another number of trials."""
        data = dotted_path.replaced(self.plain(), "search.max_trials", max_trials)
        changed: SearchConfig = problems.validated(SearchConfig, yaml_document.Document("--max-trials", data, {}))
        changed._source = self._source
        return changed

    def plain(self) -> dict[str, Any]:
        """Plain data: defaults filled in, each parameter as it was written."""
        sections = self.model_dump(by_alias=True, exclude={"space"})
        return {**sections, "space": {path: item.plain() for path, item in self.space.items()}}


def load_config(path: str | pathlib.Path) -> SearchConfig:
    """Read a search file.

    Raises:
        InputError: one line a problem: file:line, key, expected, received, closest match.
    """
    document = yaml_document.read(pathlib.Path(path))
    if isinstance(document.data, dict) and "model" in document.data and "space" not in document.data:
        raise InputError(f"{path}: is a recipe, not a search file. Train it with `kerastrain train {path}`.")
    config: SearchConfig = problems.validated(SearchConfig, document)
    config._source = document
    return config


def as_config(
    config_or_path: SearchConfig | Mapping[str, Any] | str | pathlib.Path, *, of_build: bool = False
) -> SearchConfig:
    """A search file, plain data or a config as a config.

    Args:
        config_or_path: one of them.
        of_build: a function builds the models, so there must be no `recipe`.

    Raises:
        InputError: as `load_config`.
    """
    if isinstance(config_or_path, SearchConfig):
        document = config_or_path.source
    elif isinstance(config_or_path, Mapping):
        document = yaml_document.Document("search configuration", dict(config_or_path), {})
    else:
        document = yaml_document.read(pathlib.Path(config_or_path))
    # First, since a recipe has problems of its own with what is right for a function.
    if of_build and isinstance(document.data, dict) and document.data.get("recipe") is not None:
        raise InputError(
            f"{document.where(('recipe',))}: `recipe`: expected none beside `build=`, which makes the models. "
            f"Received: recipe={document.data['recipe']!r} and a function. Leave `recipe` out of the configuration, or "
            "`build` out of the call."
        )
    if isinstance(config_or_path, SearchConfig):
        return config_or_path
    if isinstance(config_or_path, Mapping):
        made: SearchConfig = problems.validated(SearchConfig, document)
        return made
    return load_config(config_or_path)


def places_of(space: Mapping[str, Parameter], path: str) -> list[tuple[str, ...]]:
    """Where in the space the recipe's key `path` is set: by a parameter of its own, or inside variants."""
    places: list[tuple[str, ...]] = [(path,)] if path in space else []
    for key, item in space.items():
        if isinstance(item, VariantsParameter):
            places += [(key, "values", name, path) for name, keys in item.values.items() if path in keys]
    return places


def _seconds(text: str) -> float:
    match = _CLOCK.match(text)
    if match is None:
        return 0.0
    return sum(float(number or 0) * unit for number, unit in zip(match.groups(), (3600, 60, 1), strict=True))


def _check_variants(space: dict[str, Parameter], path: str, item: VariantsParameter) -> None:
    if path in experiments.Recipe.model_json_schema()["properties"] or len(dotted_path.parse(path)) > 1:
        raise problem((path,), "variants need a name of their own, such as `variant`, that is no key of the recipe")
    for name, keys in item.values.items():
        for key in keys:
            elsewhere = [place for place in places_of(space, key) if place[0] != path]
            if elsewhere:
                raise problem((path, "values", name, key), f"`{elsewhere[0][0]}` sets it too; drop one of the two")
