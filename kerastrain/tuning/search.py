"""A search from its file to its table: plan, run every trial, keep the best recipe."""

import contextlib
import pathlib
import sys
import time
from collections.abc import Callable

from rich.console import Console

from kerastrain._core.errors import WorkFailedError
from kerastrain.tuning.config import SearchConfig, load_config
from kerastrain.tuning.hypermodel import RecipeHyperModel
from kerastrain.tuning.live import LiveSearch
from kerastrain.tuning.planning import Plan, plan
from kerastrain.tuning.records import FAILED, SearchResult, TrialRecord
from kerastrain.tuning.report import report_at_end
from kerastrain.tuning.search_folder import SearchFolder, default_folder
from kerastrain.tuning.table import plan_lines, trials_table
from kerastrain.tuning.trial_logs import TrialLogs
from kerastrain.tuning.tuner import SearchTuner, TrialInterruptedError


def search(
    config_or_path: SearchConfig | str | pathlib.Path,
    *,
    data: str | None = None,
    max_trials: int | None = None,
    out: str | pathlib.Path | None = None,
    smoke: bool = False,
    overwrite: bool = False,
    on_trial: Callable[[TrialRecord], None] | None = None,
) -> SearchResult:
    """Search a recipe's hyperparameters by keras-tuner. Progress and the final table go to stderr.

    Everything that can be checked is checked before the first trial. The best recipe trains again to the same value on
    the same machine type: a trial is trained just as its recipe alone is.

    Args:
        config_or_path: a search file, or a `SearchConfig`.
        data: a data set's name or path, instead of the recipe's.
        max_trials: instead of the file's; below the size of a grid, its first combinations are run.
        out: the search folder; `searches/NAME-HASH` when None.
        smoke: two trials on a little synthetic data, to see that everything runs.
        overwrite: start again in a folder that holds a search.
        on_trial: called with each trial's record as it ends.

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
    config = config_or_path if isinstance(config_or_path, SearchConfig) else load_config(config_or_path)
    made = plan(config, data=data, max_trials=max_trials, smoke=smoke)
    folder = SearchFolder(pathlib.Path(out) if out is not None else default_folder(made), made)
    # In a log file there is no width to keep to.
    width = None if sys.stderr.isatty() else 160
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True, width=width)
    with folder.locked():
        earlier = folder.open(overwrite=overwrite)
        if earlier is not None and earlier.status == "finished":
            console.print(
                f"{folder.path}: this search is finished; nothing is trained. Use --overwrite to run it again."
            )
        elif earlier is not None:
            console.print(f"{folder.path}: going on behind {len(earlier.trials)} of {len(made.trials)} trials.")
        for line in plan_lines(made):
            console.print(line)
        if earlier is not None and earlier.status == "finished":
            result = earlier
        else:
            result = _Run(made, folder, console, on_trial, earlier).result()
            report_at_end(folder.path, console.print)
    console.print(trials_table(result.trials, list(made.space.parameters), result.objective))
    if result.status == "finished" and result.best is None:
        raise WorkFailedError(
            f"{folder.path}: of {len(result.trials)} trials, none has a finite {result.objective.metric} "
            f"(ended by {result.ended_by})."
        )
    return result


class _Run:
    """One run of the trials of a plan."""

    def __init__(
        self,
        made: Plan,
        folder: SearchFolder,
        console: Console,
        on_trial: Callable[[TrialRecord], None] | None,
        earlier: SearchResult | None,
    ) -> None:
        self.plan, self.folder, self.console, self.on_trial = made, folder, console, on_trial
        self.earlier = earlier
        self.logs = TrialLogs(folder.path, made.space.parameters, made.config.objective)
        self.records: list[TrialRecord] = [] if earlier is None else list(earlier.trials)
        # What earlier processes took of the budget counts.
        self.start = time.monotonic() - (0.0 if earlier is None else earlier.seconds)
        seconds = made.config.budget.wall_clock_seconds
        self.deadline = None if seconds is None else self.start + seconds
        self.live = LiveSearch(made, console, self.records, self.deadline)

    def result(self) -> SearchResult:
        """Run them, write what there is after each, and at the end what ended it."""
        hypermodel = RecipeHyperModel(self.plan.space, self.plan.recipes)
        hypermodel.data(self.plan.base)
        if self.earlier is None:
            self.folder.begin()
        tuner = SearchTuner(
            self.plan.oracle(),
            hypermodel,
            objective=self.plan.config.objective,
            directory=self.folder.path,
            deadline=self.deadline,
            on_trial=self._ended,
            announce=self.console.print,
            on_epoch=self.live.on_epoch,
        )
        tuner.go_on_behind(self.records)
        with self.live:
            ended_by = self._search(tuner)
        status = "interrupted" if ended_by in {"SIGINT", "SIGTERM"} else "finished"
        spent = self._write(status, ended_by)
        return SearchResult(self.folder.path, status, ended_by, self.plan.config.objective, self.records, spent)

    def _search(self, tuner: SearchTuner) -> str:
        try:
            # Standard output is for the result alone, whatever keras-tuner has to say.
            with contextlib.redirect_stdout(sys.stderr):
                tuner.search(verbose=0)
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
        if tuner.out_of_time:
            return "wall_clock"
        return "exhausted" if self.plan.exhausted else "max_trials"

    def _ended(self, record: TrialRecord) -> None:
        self.records.append(record)
        self._write("running", None)
        self.logs.write(self.records)
        self.live.ended(record)
        if self.on_trial is not None:
            self.on_trial(record)

    def _write(self, status: str, ended_by: str | None) -> float:
        seconds = round(time.monotonic() - self.start, 3)
        self.folder.write(self.records, status=status, ended_by=ended_by, seconds=seconds)
        return seconds
