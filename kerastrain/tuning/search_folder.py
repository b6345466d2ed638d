"""The folder of a search, and the rules of starting in one."""

import contextlib
import hashlib
import json
import pathlib
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from kerastrain import experiments
from kerastrain._core import atomic_files, machine, yaml_document
from kerastrain._core.differences import differences
from kerastrain._core.errors import RefusedError
from kerastrain.tuning.built_models import BuiltModels
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.planning import Plan
from kerastrain.tuning.records import SearchResult, TrialRecord, best, history_lines, recorded, table_csv
from kerastrain.tuning.shared_data import FOLDER
from kerastrain.tuning.trial_recipes import TrialRecipes
from kerastrain.tuning.worker_start import LOGS

CONFIG, SUMMARY, TRIALS, HISTORY = "search.yaml", "search.json", "trials.csv", "history.jsonl"
BEST_RECIPE, BEST_PARAMETERS = TrialRecipes.best_file, BuiltModels.best_file
BEST_MODEL, ENGINE, RUNNING = "best_model.keras", "keras_tuner", "running_trial"
_EXPLAINED = ("report.html", "logs", "ensemble")
_BEST = (BEST_RECIPE, BEST_PARAMETERS, BEST_MODEL)
_OURS = (*_EXPLAINED, SUMMARY, TRIALS, HISTORY, *_BEST, ENGINE, RUNNING, FOLDER, LOGS, CONFIG)


class SearchFolder:
    """One directory a search: search.yaml, trials.csv, history.jsonl, best_recipe.yaml, best_model.keras, search.json.

    Every file is replaced whole after each trial; search.json comes last, and says whether the search is finished.
    """

    def __init__(self, path: pathlib.Path, plan: Plan) -> None:
        self.path = path
        self.plan = plan
        self.data: str | None = None  # The fingerprint of the data.
        self._best: int | None = None  # The trial whose recipe is written.

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process. Raises RefusedError when another process holds it."""
        with experiments.RunFolder(self.path, CONFIG).locked():
            yield

    def open(self, *, overwrite: bool) -> SearchResult | None:
        """What there is of the same search, finished or not; None when this one may `begin`.

        Raises:
            RefusedError: the folder holds another search (naming the fields), or an unfinished one with more trials
                than are asked for, or its records cannot be read.
        """
        if overwrite or not (self.path / CONFIG).exists():
            return None
        summary = self._summary()
        rows = differences(_lasting(summary["identity"]), _lasting(identity(self.plan)))
        rows += differences(*_first_models(summary, self.plan))
        if rows:
            raise RefusedError(
                f"{self.path}: holds another search. It differs in {'; '.join(rows[:8])}. "
                "Choose another --out, or --overwrite."
            )
        result = self._recorded(summary)
        if len(result.trials) > len(self.plan.trials) and result.status != "finished":
            raise RefusedError(
                f"{self.path}: has {len(result.trials)} trials of this search already. Received: "
                f"{len(self.plan.trials)} trials. Ask for as many or more, or choose another --out, or --overwrite."
            )
        self.data = summary.get("data")
        return result

    def use(self, fingerprint: str | None) -> None:
        """Note the fingerprint of the data. Raises RefusedError when the folder's trials were trained on other data."""
        if self.data is not None and fingerprint is not None and self.data != fingerprint:
            raise RefusedError(
                f"{self.path}: its trials were trained on other data of the same name. It differs in data: "
                f"{self.data} -> {fingerprint}. Choose another --out, or --overwrite."
            )
        self.data = fingerprint or self.data

    def begin(self) -> None:
        """Start with nothing but the search file; what an earlier search wrote goes, and nothing else."""
        for name in _OURS:
            target = self.path / name
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        atomic_files.write_text(self.path / CONFIG, yaml_document.dump(_resolved(self.plan)))
        self.write([], status="running", ended_by=None, seconds=0.0)

    def go_on(self) -> None:
        """Note a larger number of trials or another budget in the search file."""
        text = yaml_document.dump(_resolved(self.plan))
        if (self.path / CONFIG).read_text(encoding="utf-8") != text:
            atomic_files.write_text(self.path / CONFIG, text)

    def write(
        self,
        records: Sequence[TrialRecord],
        *,
        status: str,
        ended_by: str | None,
        seconds: float,
        test: dict[str, float | None] | None = None,
    ) -> None:
        """All files, as they stand after `records`."""
        paths = self.plan.space.parameters
        found = best(records, self.plan.config.objective)
        if found is not None and found.number != self._best:
            recipe = self.plan.recipes.fill(found.parameters, found.best_repeat)
            atomic_files.write_text(self.path / self.plan.recipes.best_file, recipe.to_yaml())
            self._best = found.number
        atomic_files.write_text(self.path / TRIALS, table_csv(records, paths))
        atomic_files.write_text(self.path / HISTORY, history_lines(records))
        summary = {
            "status": status,
            "ended_by": ended_by,
            "objective": self.plan.config.objective.model_dump(),
            "trials": [record.summary() for record in records],
            "best": None if found is None else found.summary(),
            "best_recipe": None if found is None else self.plan.recipes.best_file,
            "test": test,
            "seconds": seconds,
            "identity": identity(self.plan),
            "data": self.data,
            "first_model": _first_model(self.plan),
            "versions": machine.versions(),
            "machine": machine.facts(),
            "command": shlex.join(sys.argv),
        }
        atomic_files.write_json(self.path / SUMMARY, summary)

    def _recorded(self, summary: dict[str, Any]) -> SearchResult:
        try:
            trials = recorded(summary["trials"], (self.path / HISTORY).read_text(encoding="utf-8"))
            objective = Objective.model_validate(summary["objective"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RefusedError(f"{self.path}: its records cannot be read ({error}). Use --overwrite.") from None
        ended_by = summary["ended_by"] or "nothing"
        return SearchResult(
            self.path, summary["status"], ended_by, objective, trials, summary["seconds"], summary["test"]
        )

    def _summary(self) -> dict[str, Any]:
        path = self.path / SUMMARY
        try:
            summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            _ = summary["identity"], summary["status"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RefusedError(f"{path}: cannot be read ({error}). Use --overwrite to search again.") from None
        return summary


def identity(plan: Plan) -> dict[str, Any]:
    """What makes two searches the same: every key of the search file, and of the recipe that it names."""
    return {**plan.config.plain(), "recipe": plan.base.plain(), "trials": len(plan.trials)}


def _lasting(whole: dict[str, Any]) -> dict[str, Any]:
    """The identity without what only says how far a search goes: trial n is the same trial whatever comes behind it."""
    search = {key: value for key, value in whole["search"].items() if key != "max_trials"}
    budget = {key: value for key, value in whole["budget"].items() if key not in ("wall_clock", "total_epochs")}
    return {**{key: value for key, value in whole.items() if key != "trials"}, "search": search, "budget": budget}


def _first_model(plan: Plan) -> dict[str, Any] | None:
    """What a build function has made of the first trial's values; None for a search of recipes."""
    return plan.recipes.described if isinstance(plan.recipes, BuiltModels) else None


def _first_models(summary: dict[str, Any], plan: Plan) -> tuple[dict[str, Any], dict[str, Any]]:
    before, now = summary.get("first_model"), _first_model(plan)
    return ({"build": before}, {"build": now}) if before and now else ({}, {})


def _resolved(plan: Plan) -> dict[str, Any]:
    """The search file as it can be run again from any folder."""
    recipe = plan.config.recipe
    if not isinstance(plan.recipes, TrialRecipes):
        return plan.config.plain()
    place = recipe if recipe in experiments.shipped() else str(pathlib.Path(plan.recipes.document.source).resolve())
    return {**plan.config.plain(), "recipe": place}


def default_folder(plan: Plan) -> pathlib.Path:
    """`searches/NAME-HASH`: the same search comes back to its folder, a changed one gets its own."""
    digest = hashlib.sha256(json.dumps(_lasting(identity(plan)), sort_keys=True).encode()).hexdigest()
    return pathlib.Path("searches") / f"{plan.config.name}-{digest[:8]}"
