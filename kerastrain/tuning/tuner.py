"""Who executes a trial: a keras-tuner tuner that trains it once, whole, and keeps every epoch."""

import pathlib
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from kerastrain._core.errors import RefusedError, WorkFailedError
from kerastrain.experiments.fit import EpochRecorder
from kerastrain.tuning.hypermodel import RecipeHyperModel
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.oracles import GridOracle, RandomOracle
from kerastrain.tuning.records import COMPLETED, DIVERGED, FAILED, TrialRecord
from kerastrain.tuning.search_folder import RUNNING


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
        deadline: float | None,
        on_trial: Callable[[TrialRecord], None],
        announce: Callable[[str], None],
    ) -> None:
        # Given the hypermodel, keras-tuner would build models here to find a space that is declared already.
        super().__init__(oracle, hypermodel=None, directory=directory, project_name="keras_tuner", overwrite=True)
        self.hypermodel = hypermodel
        self.objective = objective
        self.deadline = deadline
        self.on_trial = on_trial
        self.announce = announce
        self.folder = pathlib.Path(directory)
        self.out_of_time = False
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

    def pre_create_trial(self) -> None:
        """Stop at the deadline."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.out_of_time = True
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
        self.on_trial(self._ended.pop())
        # Not before it is recorded: killed in between, it goes on from its end.
        shutil.rmtree(self.folder / RUNNING, ignore_errors=True)
        super().on_trial_end(trial)

    def _told(self, line: str) -> None:
        # Of a trial only that it goes on is news; its end has a line of its own.
        if "goes on in" in line or "damaged" in line or "cannot be written" in line:
            self.announce(line)

    def _trained(self, hyperparameters: keras_tuner.HyperParameters, number: int) -> TrialRecord:
        epochs = EpochRecorder()
        start = time.perf_counter()
        rows, found, message = epochs.rows, None, None
        try:
            model = self.hypermodel.build(hyperparameters)
            running = self.folder / RUNNING / f"{number:04d}"
            training = self.hypermodel.fit(
                hyperparameters, model, callbacks=[epochs], folder=running, announce=self._told
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
            status = COMPLETED if found is not None else DIVERGED
            message = None if found is not None else f"diverged: no epoch has a finite {self.objective.metric}"
        value, epoch = found if found is not None else (None, None)
        seconds = round(time.perf_counter() - start, 3)
        parameters = self.hypermodel.space.decode(hyperparameters.values)
        return TrialRecord(number, parameters, status, value, epoch, seconds, rows, message)
