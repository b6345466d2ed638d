"""From the values of a trial to the recipe that it trains."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

from kerastrain import experiments
from kerastrain._core import dotted_path, yaml_document
from kerastrain._core.errors import InputError, closest
from kerastrain.tuning.config import SearchConfig, places_of
from kerastrain.tuning.parameters import Parameter, VariantsParameter, same

# What messages call the place of a searched value, until `prefixed` says where that is.
_SEARCHED = "searched"
_MAX_REFUSALS = 8  # Of one parameter.


@dataclasses.dataclass(frozen=True)
class TrialRecipes:
    """A recipe file, and what the search sets in it whatever the trial.

    best_file: what the best trial's recipe is written to.
    document: the recipe as it was read, so that shorthands in it stay shorthands.
    fixed: dotted path -> value, the same for every trial.
    variants: key of the space -> name of the variant -> dotted path -> value.
    lists: dotted path of a list -> its elements in the recipe, and its length or the key of the space that says it.
    names: keys of the space that the recipe does not have, which only say the length of a list.
    labels: dotted path of `fixed` -> what messages call the place that it comes from.
    smoke: make every recipe tiny.
    """

    best_file: ClassVar[str] = "best_recipe.yaml"

    document: yaml_document.Document
    fixed: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Mapping[str, Any]]]
    lists: Mapping[str, tuple[list[Any], str | int]] = dataclasses.field(default_factory=dict)
    names: frozenset[str] = frozenset()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    smoke: bool = False

    def fill(self, chosen: Mapping[str, Any], repeat: int = 1) -> experiments.Recipe:
        """The recipe with `chosen` (key of the space -> value) in it.

        Args:
            chosen: values.
            repeat: from 1; the seed is the recipe's, plus one for each repeat before.

        Raises:
            InputError: it is not valid.
        """
        recipe = self._full_size(chosen)
        if repeat > 1:
            seed = (recipe.training.seed + repeat - 1) % 2**32
            recipe = self._full_size({**chosen, "training.seed": seed})
        return experiments.smoke(recipe) if self.smoke else recipe

    def replaced(self, chosen: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """For each path that `chosen` sets and `smoke` changes, the value of the search and the one trained with."""
        if not self.smoke:
            return {}
        full, trained = self._full_size(chosen).plain(), self.fill(chosen).plain()
        return {
            path: (value, dotted_path.lookup(trained, path))
            for path, value in self.overrides(chosen).items()
            if dotted_path.lookup(full, path) != dotted_path.lookup(trained, path)
        }

    def overrides(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Dotted path -> value, in an order to set them in: `optimizer.rule` before `optimizer.rule.momentum`."""
        found: dict[str, Any] = {}
        for path, (elements, length) in self.lists.items():
            if length in chosen or isinstance(length, int):
                found[path] = _of_length(elements, length if isinstance(length, int) else chosen[length])
        for key, value in chosen.items():
            if key in self.names:
                continue
            found.update(self.variants[key][value] if key in self.variants else {key: value})
        return {path: found[path] for path in sorted(found, key=lambda path: len(dotted_path.parse(path)))}

    def _full_size(self, chosen: Mapping[str, Any]) -> experiments.Recipe:
        overrides = self.overrides(chosen)
        labels = {**self.labels, **dict.fromkeys(overrides, _SEARCHED)}
        return experiments.from_document(self.document, {**self.fixed, **overrides}, labels)


def trial_recipes(config: SearchConfig, *, data: str | None = None, smoke: bool = False) -> TrialRecipes:
    """The recipe that `config` names, with its budget and `data` set.

    Raises:
        InputError: there is no such recipe, or something else sets the same key.
    """
    fixed: dict[str, Any] = dict(config.set_)
    labels = {path: config.source.where(("set", path)) for path in config.set_}
    if config.budget.epochs is not None:
        fixed["training.epochs"] = config.budget.epochs
        labels["training.epochs"] = config.source.where(("budget", "epochs"))
    if data is not None:
        for place in places_of(config.space, "data.name"):
            where = config.source.where(("space", *place))
            raise InputError(f"{where}: `data.name`: --data sets it for every trial; drop one of the two.")
        fixed["data.name"], labels["data.name"] = data, "--data"
    variants = {key: item.values for key, item in config.space.items() if isinstance(item, VariantsParameter)}
    plain = TrialRecipes(yaml_document.read(_file(config)), fixed, variants, labels=labels, smoke=smoke)
    lengths = config.written().lists
    if not lengths:
        return plain
    base = plain.fill({}).plain()
    lists = {path: (_elements(config, plain.document.data, base, path), length) for path, length in lengths.items()}
    names = frozenset(length for length in lengths.values() if isinstance(length, str) and not _has(base, length))
    return dataclasses.replace(plain, lists=lists, names=names)


def check_space(config: SearchConfig, recipes: TrialRecipes) -> None:
    """Try the ends of every range and every choice in the recipe, one parameter at a time.

    Raises:
        InputError: a line for each value that is refused: its key in the space, and what the recipe says to it.
    """
    recipes.fill({})
    written, found = config.written(), dict[str, list[str]]()
    for path, parameter in written.parameters.items():
        parents = _parents(written.parameters, path)
        if any(parent in found for parent in parents):
            continue  # Nothing can be told beside a value that is refused itself.
        lines = _refusals(config, recipes, written.written[path], path, parameter, parents)
        if lines:
            found[path] = lines
    if found:
        raise InputError("\n".join(line for lines in found.values() for line in lines))


def _refusals(
    config: SearchConfig,
    recipes: TrialRecipes,
    key: str,
    path: str,
    parameter: Parameter,
    parents: Mapping[str, Any],
) -> list[str]:
    """What the recipe says to the values of one parameter, each problem once; of very many the first ones."""
    lines: dict[str, str] = {}  # A key that is wrong is so with every value.
    for value in parameter.extremes():
        try:
            recipes.fill({**parents, path: value})
        except InputError as error:
            if len(lines) == _MAX_REFUSALS:
                where = config.source.where(("space", key))
                return [*lines.values(), f"{where}: `space.{path}`: further values are refused too."]
            refused = _refused(config, key, path, parameter, value, parents)
            lines.setdefault(str(error), prefixed(refused, error))
    return list(lines.values())


def _refused(
    config: SearchConfig, key: str, path: str, parameter: Parameter, value: Any, parents: Mapping[str, Any]
) -> str:
    """Where a value of the space is written, and that it is refused."""
    inner = _inner_place(parameter, value)
    given = "".join(f", with {parent} = {_short(held)}" for parent, held in parents.items())
    name = dotted_path.render(("space", path, *inner))
    return f"{config.source.where(('space', key, *inner))}: `{name}`: the recipe refuses {_short(value)}{given}: "


def _inner_place(parameter: Parameter, value: Any) -> dotted_path.Location:
    """Where inside its parameter a value is written; the parameter itself for the end of a range."""
    if isinstance(parameter, VariantsParameter):
        return ("values", value)
    points = getattr(parameter, "values", None)
    return () if points is None else ("values", next(i for i, point in enumerate(points) if same(point, value)))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def prefixed(prefix: str, error: InputError) -> str:
    """Each problem of a recipe on a line of its own that says where in the search file it comes from."""
    return "\n".join(f"{prefix}{line.removeprefix(f'{_SEARCHED}: ')}" for line in str(error).splitlines())


def _file(config: SearchConfig) -> pathlib.Path:
    known, recipe = experiments.shipped(), config.recipe or ""
    if recipe in known:
        return known[recipe]
    path = config.folder / recipe
    if not os.path.isfile(path):  # Unlike pathlib's, it answers for every text.
        raise InputError(
            f"{config.source.where(('recipe',))}: `recipe`: expected a shipped recipe ({', '.join(known)}) or the path "
            f'of a file, relative to the search file. Received: "{recipe[:80]}".{closest(recipe, known)}'
        )
    return path


def _elements(config: SearchConfig, written: Any, base: dict[str, Any], path: str) -> list[Any]:
    """The elements of a list of the recipe, as it is written or by default."""
    for data in (written, base) if path not in config.set_ else (base,):
        try:
            found = dotted_path.lookup(data, path)
        except KeyError:
            continue
        if isinstance(found, list):
            return found
    key = next(key for key in config.space if key.startswith(f"{path}[i]"))
    raise InputError(f"{config.source.where(('space', key))}: `space.{key}`: the recipe has no list `{path}`.")


def _of_length(elements: list[Any], length: int) -> list[Any]:
    """The first elements; where there are too few, further ones like the last."""
    return elements[:length] + (elements[-1:] or [{}]) * (length - len(elements))


def _has(recipe: dict[str, Any], path: str) -> bool:
    try:
        dotted_path.lookup(recipe, path)
    except KeyError:
        return False
    return True


def _parents(space: Mapping[str, Parameter], path: str) -> dict[str, Any]:
    """Values that make `path` active."""
    found: dict[str, Any] = {}
    for parent, values in space[path].when.items():
        found.update(_parents(space, parent))
        found[parent] = values[0]
    return found
