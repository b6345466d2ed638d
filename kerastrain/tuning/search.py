"""A search from its file to its table: plan, run every trial, keep the best recipe."""

import contextlib
import pathlib
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

from rich.console import Console

from kerastrain import experiments
from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError, WorkFailedError
from kerastrain.tuning import shared_data
from kerastrain.tuning.built_models import EPOCHS, Build, BuiltModels, DeclaredSpace, declared_space
from kerastrain.tuning.config import SearchConfig, as_config
from kerastrain.tuning.fit_data import FitData, fit_data
from kerastrain.tuning.hypermodel import RecipeHyperModel
from kerastrain.tuning.live import LiveSearch
from kerastrain.tuning.planning import Plan, plan, plan_of_models
from kerastrain.tuning.records import FAILED, SearchResult, TrialRecord, best
from kerastrain.tuning.report import report_at_end
from kerastrain.tuning.search_folder import BEST_MODEL, SearchFolder, default_folder
from kerastrain.tuning.space import Space
from kerastrain.tuning.table import plan_lines, trials_table
from kerastrain.tuning.trace_warnings import without_retracing_warnings
from kerastrain.tuning.trial_logs import TrialLogs
from kerastrain.tuning.trial_training import TrialInterruptedError
from kerastrain.tuning.tuner import SearchTuner
from kerastrain.tuning.winner import test_scores
from kerastrain.tuning.workers import Workers


def search(
    config_or_path: SearchConfig | Mapping[str, Any] | str | pathlib.Path,
    *,
    build: Build | None = None,
    data: Any = None,
    validation_data: Any = None,
    test_data: Any = None,
    validation_split: float = 0.2,
    batch_size: int = 32,
    max_trials: int | None = None,
    out: str | pathlib.Path | None = None,
    smoke: bool = False,
    overwrite: bool = False,
    on_trial: Callable[[TrialRecord], None] | None = None,
    workers: int = 1,
) -> SearchResult:
    """Search the hyperparameters of a recipe, or of a model that a function builds. Progress and table go to stderr.

    Everything that can be checked is checked before the first trial. The best recipe trains again to the same value on
    the same machine type: a trial is trained just as its recipe alone is.

    Args:
        config_or_path: a search file, a `SearchConfig`, or plain data as the file has it.
        build: `build(hp)` that returns a compiled model, or a `keras_tuner.HyperModel`, in place of a recipe. The keys
            of the space are names in `hp`; without a space what the function declares is searched. `budget.epochs`
            says how long to train; where the space has `epochs` or `batch_size`, they are used. `objective` may be any
            `val_` metric. A trial that is cut off begins anew.
        data: a data set's name or path, instead of the recipe's; for `build` `(x, y)` arrays, a `tf.data.Dataset`, a
            `PyDataset`, or a pair `(train, validation)` of any of these.
        validation_data: for `build`, as `data`; None holds a share of the arrays out.
        test_data: for `build`, what the best model is evaluated on at the end; None for nothing.
        validation_split: for `build`, that share, in (0, 1), drawn from `search.seed`.
        batch_size: for `build`, of arrays.
        max_trials: instead of the file's; below the size of a grid, its first combinations are run. More than a search
            in the folder had: it goes on with the further ones, finished or not.
        out: the search folder; `searches/NAME-HASH` when None.
        smoke: two trials on a little synthetic data, to see that everything runs.
        overwrite: start again in a folder that holds a search.
        on_trial: called with each trial's record as it ends.
        workers: processes that train, each with its share of the cores; 1 trains in this one, with all of them. A
            script that asks for more must not search when it is imported: `if __name__ == "__main__":`.

    Returns:
        The trials and the best of them. A finished search of the same file in the folder is returned without training;
        an unfinished one goes on: no trial is run twice, and one that was cut off goes on from its last checkpoint.

    Raises:
        InputError: anything wrong with the file, the recipe or the data, before the first trial.
        RefusedError: the folder is in use, or holds something else or another search.
        WorkFailedError: no trial has a value, or three in a row failed; what they were is recorded.

    Example (not run here; it trains):

        result = kerastrain.tuning.search("tuner_configs/random_mlp.yaml", smoke=True)
        result.best.value, result.best_recipe_path
    """
    if whole_number("workers", workers) > 1 and build is not None:
        raise InputError(
            f"`workers`: other processes cannot be given the function of `build`. Received: workers={workers}. Use 1."
        )
    config = as_config(config_or_path, of_build=build is not None)
    if build is None:
        _refuse_without_build(validation_data, test_data)
        made = plan(config, data=data, max_trials=max_trials, smoke=smoke)
    else:
        parts = fit_data(data, validation_data, test_data, validation_split, config.search.seed)
        made = plan_of_models(config, _models(config, build, parts, batch_size), max_trials=max_trials)
    folder = SearchFolder(pathlib.Path(out) if out is not None else default_folder(made), made)
    # In a log file there is no width to keep to.
    width = None if sys.stderr.isatty() else 160
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True, width=width)
    with folder.locked():
        earlier = folder.open(overwrite=overwrite)
        over = earlier is not None and is_over(earlier, made)
        hypermodel, its_data = _trained(made, workers)
        folder.use(None if its_data is None else its_data.fingerprint)
        if earlier is not None and over:
            console.print(
                f"{folder.path}: this search is finished after {len(earlier.trials)} trials; nothing is trained. "
                "Use --overwrite to run it again."
            )
        elif earlier is not None:
            console.print(f"{folder.path}: going on behind {len(earlier.trials)} of {len(made.trials)} trials.")
        for line in plan_lines(made):
            console.print(line)
        if earlier is not None and over:
            result = earlier
        else:
            with without_retracing_warnings():
                result = _Run(made, folder, console, on_trial, earlier, hypermodel, workers).result()
            report_at_end(folder.path, console.print)
    if result.status == "interrupted":
        console.print(f"Stopped by {result.ended_by}; the same command goes on.")
    console.print(trials_table(result.trials, list(made.space.parameters), result.objective))
    if result.status == "finished" and result.best is None:
        raise WorkFailedError(
            f"{folder.path}: of {len(result.trials)} trials, none has a finite {result.objective.metric} "
            f"(ended by {result.ended_by})."
        )
    return result


def _refuse_without_build(*given: Any) -> None:
    if any(one is not None for one in given):
        raise InputError("`validation_data` and `test_data` are for a search of `build`; a recipe names its own data.")


def _models(config: SearchConfig, build: Build, data: FitData, batch_size: int) -> BuiltModels:
    epochs = config.budget.epochs
    space: Space | DeclaredSpace = Space(config.written().parameters)
    if not config.space:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
            space = declared_space(build, folder)
    if epochs is None and EPOCHS not in space.parameters:
        where = config.source.where(("budget",))
        raise InputError(f"{where}: `budget.epochs`: is missing; `build` does not say how long to train.")
    batch_size = whole_number("batch_size", batch_size)
    return BuiltModels(build, space, data, epochs=epochs or 1, batch_size=batch_size, seed=config.search.seed)


def is_over(earlier: SearchResult, made: Plan) -> bool:
    """Whether there is nothing left to do; a finished search goes on with more trials or a larger budget."""
    if earlier.status != "finished" or len(earlier.trials) >= len(made.trials):
        return earlier.status == "finished"
    budget, seconds = made.config.budget, made.config.budget.wall_clock_seconds
    if earlier.ended_by == "wall_clock" and seconds is not None:
        return earlier.seconds >= seconds
    if earlier.ended_by == "total_epochs" and budget.total_epochs is not None:
        return sum(len(record.history) for record in earlier.trials) >= budget.total_epochs
    return False


def _trained(made: Plan, workers: int) -> tuple[RecipeHyperModel | BuiltModels, Any]:
    """What trials train, and its data."""
    recipes, base = made.recipes, cast(experiments.Recipe, made.base)
    if isinstance(recipes, BuiltModels):
        return recipes, recipes.data()
    hypermodel = RecipeHyperModel(Space(made.config.written().parameters), recipes)
    if workers > 1:  # They are given all that any trial asks for.
        keys = {hypermodel.data_key(cast(experiments.Recipe, recipes.fill(chosen))) for chosen in made.trials}
        hypermodel.keeps_loaded = len(keys) > 1 or made.config.repeats > 1
    return hypermodel, hypermodel.data(base)


class _Run:
    """One run of the trials of a plan."""

    def __init__(
        self,
        made: Plan,
        folder: SearchFolder,
        console: Console,
        on_trial: Callable[[TrialRecord], None] | None,
        earlier: SearchResult | None,
        hypermodel: RecipeHyperModel | BuiltModels,
        workers: int = 1,
    ) -> None:
        self.workers, self.hypermodel = workers, hypermodel
        self.plan, self.folder, self.console, self.on_trial = made, folder, console, on_trial
        self.earlier = earlier
        self.logs = TrialLogs(folder.path, made.space.parameters, made.config.objective)
        self.records: list[TrialRecord] = [] if earlier is None else list(earlier.trials)
        # What earlier processes took of the budget counts.
        self.start = time.monotonic() - (0.0 if earlier is None else earlier.seconds)
        seconds = made.config.budget.wall_clock_seconds
        self.deadline = None if seconds is None else self.start + seconds
        self.live = LiveSearch(made, console, self.records, self.deadline, workers)

    def result(self) -> SearchResult:
        """Run them, write what there is after each, and at the end what ended it."""
        if self.earlier is None:
            self.folder.begin()
        else:
            self.folder.go_on()
        tuner = SearchTuner(
            self.plan.oracle(),
            self.hypermodel,
            objective=self.plan.config.objective,
            directory=self.folder.path,
            pruner=self.plan.pruner(),
            repeats=self.plan.config.repeats,
            total_epochs=self.plan.config.budget.total_epochs,
            deadline=self.deadline,
            on_trial=self._ended,
            announce=self.console.print,
            on_epoch=self.live.on_epoch,
        )
        shared_data.remove(self.folder.path / shared_data.FOLDER)  # Of a process that was killed.
        tuner.go_on_behind(self.records)
        with self.live:
            ended_by = self._search(tuner)
        status = "interrupted" if ended_by in {"SIGINT", "SIGTERM"} else "finished"
        objective = self.plan.config.objective
        found = best(self.records, objective) if status == "finished" else None
        # Once, when all is chosen by the validation data.
        test = None if found is None else self._tested(found)
        spent = self._write(status, ended_by, test)
        return SearchResult(self.folder.path, status, ended_by, objective, self.records, spent, test)

    def _tested(self, found: TrialRecord) -> dict[str, float | None] | None:
        path = self.folder.path / BEST_MODEL
        if not path.exists():
            self.console.print(f"{path}: is missing, so the best trial is not evaluated on the test set.")
            return None
        return test_scores(self.hypermodel, found, path)

    def _search(self, tuner: SearchTuner) -> str:
        try:
            # Standard output is for the result alone, whatever keras-tuner has to say.
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "All-NaN axis", RuntimeWarning)  # Of a failed trial, in the engine.
                tuner.oracle.verbose = 0
                self._all_trials(tuner)
        except TrialInterruptedError as error:
            return error.signal
        except KeyboardInterrupt:
            return "SIGINT"
        except RuntimeError:
            # keras-tuner's limit of failures in a row; every other RuntimeError is a defect.
            if not self.records or self.records[-1].status != FAILED:
                raise
            self._write("failed", "failures")
            last = self.records[-1]
            raise WorkFailedError(
                f"{self.folder.path}: three trials in a row failed, the last by {last.message}"
            ) from None
        if tuner.spent is not None:
            return tuner.spent
        return "exhausted" if self.plan.exhausted else "max_trials"

    def _all_trials(self, tuner: SearchTuner) -> None:
        if self.workers == 1:
            tuner.search()
            return
        content = tuner.hypermodel.shared()
        told = (self.console.print, self.live.still)
        with Workers(self.plan, self.folder.path, self.workers, content, *told) as workers:
            workers.search(tuner)

    def _ended(self, record: TrialRecord) -> None:
        self.records.append(record)
        self.records.sort(key=lambda one: one.number)  # Workers end trials in any order.
        self._write("running", None)
        self.logs.write(self.records)
        self.live.ended(record)
        if self.on_trial is not None:
            self.on_trial(record)

    def _write(self, status: str, ended_by: str | None, test: dict[str, float | None] | None = None) -> float:
        seconds = round(time.monotonic() - self.start, 3)
        self.folder.write(self.records, status=status, ended_by=ended_by, seconds=seconds, test=test)
        return seconds
