"""Who executes a trial: a keras-tuner tuner that trains it once, whole, and keeps every epoch."""

import contextlib
import pathlib
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from kerastrain._core.errors import RefusedError, WorkFailedError
from kerastrain.experiments.fit import EpochRecorder
from kerastrain.tuning.best_weights import BestWeights
from kerastrain.tuning.hypermodel import RecipeHyperModel
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.oracles import GridOracle, RandomOracle
from kerastrain.tuning.pruners import Pruner
from kerastrain.tuning.pruning import PruneTrial, curves
from kerastrain.tuning.records import COMPLETED, DIVERGED, FAILED, PRUNED, TrialRecord, best
from kerastrain.tuning.repeats import Repeat, combined, read
from kerastrain.tuning.search_folder import BEST_MODEL, RUNNING


class TrialInterruptedError(keras_tuner.errors.FatalError):
    """A signal came during a trial. keras-tuner lets a FatalError through, which ends the search."""

    def __init__(self, signal: str) -> None:
        super().__init__(f"interrupted by {signal}")
        self.signal = signal


class SearchTuner(keras_tuner.Tuner):
    """Runs the oracle's trials one after the other.

    A trial is trained exactly as its recipe alone would be, from a cleared session. Nothing is saved each epoch
    (`keras_tuner.Tuner` writes the weights whenever an epoch improves, and keeps the best epoch's metrics only): a
    trial that takes longer than a minute saves once a minute, and goes on from there in another process. One that
    diverges is a result, the worst there is; it is not tried again.

    Args:
        oracle: who decides.
        hypermodel: what a trial trains.
        objective: metric and mode.
        directory: where keras-tuner keeps its own files.
        pruner: what ends trials early; None for nothing. To keras-tuner a pruned trial is a completed one, since it
            ends a search at the third failed one in a row.
        repeats: trainings of each trial, the value of which is their mean.
        total_epochs: of all trainings, after which no trial starts; None for no end.
        deadline: `time.monotonic()` after which no trial starts; None for none.
        on_trial: called with each record when its trial ends.
        announce: is given one line for each thing worth telling.
    """

    def __init__(
        self,
        oracle: RandomOracle | GridOracle,
        hypermodel: RecipeHyperModel,
        *,
        objective: Objective,
        directory: pathlib.Path,
        pruner: Pruner | None,
        repeats: int,
        total_epochs: int | None,
        deadline: float | None,
        on_trial: Callable[[TrialRecord], None],
        announce: Callable[[str], None],
    ) -> None:
        # Given the hypermodel, keras-tuner would build models here to find a space that is declared already.
        super().__init__(oracle, hypermodel=None, directory=directory, project_name="keras_tuner", overwrite=True)
        self.hypermodel = hypermodel
        self.objective = objective
        self.pruner = pruner
        self.repeats = repeats
        self.total_epochs = total_epochs
        self.deadline = deadline
        self.on_trial = on_trial
        self.announce = announce
        self.folder = pathlib.Path(directory)
        self.spent: str | None = None  # Which budget is.
        self.records: list[TrialRecord] = []
        self._ended: list[TrialRecord] = []

    def go_on_behind(self, records: Sequence[TrialRecord]) -> None:
        """Take trials of an earlier process for done, so that the next one is the next number.

        Raises:
            RefusedError: they are not the first trials of this search.
        """
        for record in records:
            values = self.oracle.values_of(record.number)
            if values is None or self.hypermodel.space.decode(values) != record.parameters:
                raise RefusedError(
                    f"{self.folder}: trial {record.number} in its records is not that of this search. Received: "
                    f"{record.parameters}. Use --overwrite to search again."
                )
            hyperparameters = self.oracle.hyperparameters.copy()
            hyperparameters.values = dict(values)
            name = f"{record.number - 1:0{len(str(self.oracle.max_trials))}d}"  # As keras-tuner names its trials.
            trial = Trial(hyperparameters, trial_id=name, status=TrialStatus.COMPLETED)
            trial.score = self.objective.worst if record.value is None else record.value
            self.oracle.trials[name] = trial
            self.oracle.start_order.append(name)
            self.oracle.end_order.append(name)
            self.records.append(record)
        self._tidy_up()

    def pre_create_trial(self) -> None:
        """Stop when a budget is spent."""
        epochs = sum(len(record.history) for record in self.records)
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.spent = "wall_clock"
        elif self.total_epochs is not None and epochs >= self.total_epochs:
            self.spent = "total_epochs"
        if self.spent is not None:
            self.oracle.stop()

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Train a trial, keep its record, and give the engine its value."""
        record = self._trained(trial.hyperparameters, len(self.oracle.trials))
        self._ended.append(record)
        if record.status == FAILED:
            raise keras_tuner.errors.FailedTrialError(record.message)
        return {self.objective.metric: self.objective.worst if record.value is None else record.value}

    def on_trial_end(self, trial: Any) -> None:
        """Hand the record on. Here, since keras-tuner takes an error raised in `run_trial` for the trial's own."""
        record = self._ended.pop()
        self.records.append(record)
        self.on_trial(record)
        # Not before it is recorded: killed in between, it goes on from its end.
        self._tidy_up()
        super().on_trial_end(trial)

    def _tidy_up(self) -> None:
        """Keep the model of the best trial, and nothing else of those that are recorded."""
        found = best(self.records, self.objective)
        candidate = None if found is None else self._running(found.number) / BEST_MODEL
        if candidate is not None and candidate.exists():
            candidate.replace(self.folder / BEST_MODEL)
        for record in self.records:
            shutil.rmtree(self._running(record.number), ignore_errors=True)
        with contextlib.suppress(OSError):  # It is not there, or another trial is running.
            (self.folder / RUNNING).rmdir()

    def _running(self, number: int) -> pathlib.Path:
        return self.folder / RUNNING / f"{number:04d}"

    def _told(self, line: str) -> None:
        # Of a trial only that it goes on is news; its end has a line of its own.
        if "goes on in" in line or "damaged" in line or "cannot be written" in line:
            self.announce(line)

    def _trained(self, hyperparameters: keras_tuner.HyperParameters, number: int) -> TrialRecord:
        """All trainings of a trial; those that an earlier process has finished are taken as they were."""
        done: list[Repeat] = []
        for repeat in range(1, self.repeats + 1):
            one = read(self._running(number), repeat) or self._repeat(hyperparameters, number, repeat, done)
            if repeat < self.repeats:
                one.write(self._running(number))
            done.append(one)
            if one.status != COMPLETED:
                break
        parameters = self.hypermodel.space.decode(hyperparameters.values)
        return combined(number, parameters, done, self.repeats, self.objective)

    def _repeat(
        self, hyperparameters: keras_tuner.HyperParameters, number: int, repeat: int, done: Sequence[Repeat]
    ) -> Repeat:
        keras.utils.clear_session()
        self.hypermodel.repeat = repeat
        start = time.perf_counter()
        epochs = EpochRecorder()
        pruning = self._pruning(epochs, repeat)
        weights = BestWeights(self.objective, epochs, self._to_beat(done))
        rows, found, message = epochs.rows, None, None
        try:
            model = self.hypermodel.build(hyperparameters)
            training = self.hypermodel.fit(
                hyperparameters,
                model,
                callbacks=[epochs, weights, *([pruning] if pruning is not None else [])],
                folder=self._running(number) / f"repeat_{repeat}",
                announce=self._told,
            )
        except WorkFailedError as error:
            status, message = DIVERGED, str(error)
        except Exception as error:
            # Out of memory, a model that cannot be built: this trial's end, recorded, and not the search's.
            status, message = FAILED, f"{type(error).__name__}: {' '.join(str(error).split())}"
        else:
            if training.stopped is not None:
                raise TrialInterruptedError(training.stopped)
            rows = training.history
            found = self.objective.best(rows)
            status, message = _ending(found is not None, pruning, self.objective)
            weights.save(model, self._running(number) / BEST_MODEL)
        value, epoch = found if found is not None else (None, None)
        seconds = round(time.perf_counter() - start, 3)
        return Repeat(repeat, self.hypermodel.seed(hyperparameters), status, value, epoch, seconds, rows, message)

    def _pruning(self, epochs: EpochRecorder, repeat: int) -> PruneTrial | None:
        """Of the first repeat only: like is compared with like, and a mean is always one over all seeds."""
        if self.pruner is None or repeat > 1:
            return None
        return PruneTrial(self.pruner, self.objective, epochs, curves(self.records, self.objective))

    def _to_beat(self, done: Sequence[Repeat]) -> float | None:
        """The value from which on a model is worth keeping: the best trial's, or that of the trial's repeats so far."""
        if self.repeats > 1:
            return min((one.value for one in done if one.value is not None), key=self.objective.sortable, default=None)
        found = best(self.records, self.objective)
        return found.value if found is not None and found.status == COMPLETED else None


def _ending(has_value: bool, pruning: PruneTrial | None, objective: Objective) -> tuple[str, str | None]:
    if not has_value:
        return DIVERGED, f"diverged: no epoch has a finite {objective.metric}"
    if pruning is not None and pruning.reason is not None:
        return PRUNED, f"pruned: {pruning.reason}"
    return COMPLETED, None
