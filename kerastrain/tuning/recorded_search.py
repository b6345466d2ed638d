"""A search as its folder tells it, for those who read and explain it: nothing is planned, nothing is trained."""

import dataclasses
import functools
import json
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError
from kerastrain.tuning.config import SearchConfig, load_config
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.parameters import Parameter, parameter, same
from kerastrain.tuning.records import COMPLETED, TrialRecord, best, recorded
from kerastrain.tuning.search_folder import BEST_RECIPE, CONFIG, HISTORY, SUMMARY

# What a pruner ended: its rows are there, and the best of them, but it was not trained to its end.
PRUNED = "pruned"


@dataclasses.dataclass(frozen=True)
class RecordedSearch:
    """What there is of a search, finished or not.

    folder: where it was read.
    summary: search.json, as it is.
    objective: metric and mode.
    space: its parameters, in the order of the file.
    trials: every trial that ended, in the order of their numbers.
    best_recipe: the YAML of the best trial's recipe; None where there is none.
    """

    folder: pathlib.Path
    summary: Mapping[str, Any]
    objective: Objective
    space: Mapping[str, Parameter]
    trials: tuple[TrialRecord, ...]
    best_recipe: str | None

    @property
    def identity(self) -> dict[str, Any]:
        """Every key of the search file, with `recipe` the whole recipe before any value of the space is set."""
        identity: dict[str, Any] = self.summary["identity"]
        return identity

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe before any value of the space is set; empty where a function builds the models."""
        given = self.identity.get("recipe")
        return given if isinstance(given, dict) and "model" in given else {}

    @property
    def name(self) -> str:
        """As the search file has it."""
        return str(self.identity["name"])

    @functools.cached_property
    def best(self) -> TrialRecord | None:
        """The completed trial of the best value, the first of equals."""
        return best(self.trials, self.objective)

    @property
    def ranked(self) -> list[TrialRecord]:
        """The completed trials, the best first, the first of equals before the others."""
        done = [trial for trial in self.trials if trial.status == COMPLETED]
        return sorted(done, key=lambda trial: (self.objective.sortable(trial.value), trial.number))

    @property
    def test(self) -> dict[str, float] | None:
        """Metrics of the winner on the test set; None where it was not asked."""
        found = self.summary.get("test")
        return found if isinstance(found, dict) else None

    def reached(self, trial: TrialRecord) -> float | None:
        """The trial's value; of one that was cut off the best that it had reached, None where nothing was finite."""
        if trial.value is not None:
            return trial.value
        found = self.objective.best(known(trial.history, self.objective.metric))
        return None if found is None else found[0]

    def spread(self, trial: TrialRecord) -> float | None:
        """The standard deviation over a trial's repeats; None where it was trained once."""
        return trial.spread

    @property
    def repeats(self) -> int:
        """How often each trial was to be trained."""
        return int(self.identity.get("repeats") or 1)

    def curve(self, trial: TrialRecord, repeat: int | None = None) -> list[tuple[int, float]]:
        """Epochs from 1 and the objective's finite values; with repeats those of one, by default the best."""
        repeat, metric = repeat or trial.best_repeat, self.objective.metric
        rows = [row for row in known(trial.history, metric) if row.get("repeat", repeat) == repeat]
        return [(row["epoch"] + 1, row[metric]) for row in rows if math.isfinite(row[metric])]

    @functools.cached_property
    def best_so_far(self) -> list[float | None]:
        """The best value of a completed trial, after each trial."""
        found: list[float | None] = []
        held: float | None = None
        for trial in self.trials:
            if trial.status == COMPLETED and self.objective.sortable(trial.value) < self.objective.sortable(held):
                held = trial.value
            found.append(held)
        return found


def read_search(path: str | pathlib.Path) -> RecordedSearch:
    """Read a search folder, whatever state it is in.

    Raises:
        InputError: there is no search, or its records cannot be read.
    """
    folder = pathlib.Path(path)
    if not (folder / SUMMARY).is_file():
        missing = "no such folder" if not folder.is_dir() else f"no {SUMMARY} in it"
        raise InputError(
            f"{folder}: expected the folder of a search, as `kerastrain search` prints it. Received: {missing}."
        )
    written = _space(load_config(folder / CONFIG))
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        history = (folder / HISTORY).read_text(encoding="utf-8") if (folder / HISTORY).exists() else ""
        objective = Objective.model_validate(summary["objective"])
        trials = tuple(sorted(recorded(_trials(summary), history), key=lambda trial: trial.number))
        space = {**written, **inferred(trials, written)}
        _ = summary["status"], summary["seconds"], summary["identity"]["name"], summary["identity"]["search"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pydantic.ValidationError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: its records cannot be read ({type(error).__name__}: {text}).") from None
    recipe = folder / (summary.get("best_recipe") or BEST_RECIPE)
    yaml = recipe.read_text(encoding="utf-8") if recipe.is_file() else None
    return RecordedSearch(folder, summary, objective, space, trials, yaml)


def _space(config: SearchConfig) -> Mapping[str, Parameter]:
    # Where a file can say `repeat`, a config tells what it stands for.
    written = getattr(config, "written", None)
    return config.space if written is None else written().parameters


def _trials(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    # What a newer version knows besides is no reason to read nothing.
    names = {field.name for field in dataclasses.fields(TrialRecord)}
    return [{name: value for name, value in trial.items() if name in names} for trial in summary["trials"]]


def known(history: list[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    """The rows that have a value of `metric`; on disk one that is not finite is null."""
    return [row for row in history if row.get(metric) is not None]


def inferred(trials: Iterable[TrialRecord], known: Iterable[str] = ()) -> dict[str, Parameter]:
    """A parameter for each name outside `known` that trials have: of the values that they took.

    A build function declares its space as it runs, so the search file need not have it.
    """
    values: dict[str, list[Any]] = {}
    for trial in trials:
        for path, value in trial.parameters.items():
            if path not in known and not any(same(value, one) for one in values.setdefault(path, [])):
                values[path].append(value)
    return {path: parameter(_described(taken)) for path, taken in values.items()}


def _described(values: list[Any]) -> dict[str, Any]:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return {"type": "float", "values": sorted(float(value) for value in values)}
    return {"type": "choice", "values": values}


def search_yaml(search: RecordedSearch) -> str:
    """The search file as it can be read back, the recipe by its name."""
    name = {"recipe": search.recipe["name"]} if search.recipe else {}
    return yaml_document.dump({**search.identity, **name})
