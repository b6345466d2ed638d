"""Who executes a trial: a keras-tuner tuner that trains it once, whole, and keeps every epoch."""

import contextlib
import math
import pathlib
import shutil
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from kerastrain._core.errors import InputError, RefusedError
from kerastrain.tuning.built_models import BuiltModels, DeclaredSpace
from kerastrain.tuning.hypermodel import RecipeHyperModel
from kerastrain.tuning.objective import Objective, objective_of
from kerastrain.tuning.oracles import GridOracle, RandomOracle
from kerastrain.tuning.pruners import Pruner
from kerastrain.tuning.records import FAILED, TrialRecord, best
from kerastrain.tuning.search_folder import BEST_MODEL, RUNNING
from kerastrain.tuning.trial_training import Fit, TrialTraining


class SearchTuner(keras_tuner.Tuner):
    """Runs an oracle's trials one after the other, prunes and repeats them, and keeps every epoch of each.

    A trial is trained exactly as its recipe alone would be, from a cleared session. Nothing is saved each epoch
    (`keras_tuner.Tuner` writes the weights whenever an epoch improves, and keeps the best epoch's metrics only): a
    trial that takes longer than a minute saves once a minute, and goes on from there in another process. One that
    diverges is a result, the worst there is; it is not tried again.

    It works in plain keras-tuner code too: `search` takes the arguments of Keras's `fit`, `records` has what
    `kerastrain.tuning.TrialRecord` says of each trial, and `best` the best of them. Such a search begins anew each
    time; `kerastrain.tuning.search(config, build=...)` makes one that goes on.

    Args:
        oracle: who decides: `RandomOracle`, `GridOracle`.
        hypermodel: what a trial trains: `build(hp)` that returns a compiled model, or a `keras_tuner.HyperModel`.
        objective: metric and mode; None for the oracle's.
        directory: where the best model and keras-tuner's own files are kept.
        project_name: the folder of the latter in it.
        pruner: what ends trials early; None for nothing. To keras-tuner a pruned trial is a completed one, since it
            ends a search at the third failed one in a row.
        repeats: trainings of each trial, the value of which is their mean.
        total_epochs: of all trainings, after which no trial starts; None for no end.
        deadline: `time.monotonic()` after which no trial starts; None for none.
        on_trial: called with each record when its trial ends.
        announce: is given one line for each thing worth telling.
        on_epoch: called with a trial's number and the row of its history as an epoch ends.

    Raises:
        InputError: the objective is of several metrics, or not of the validation data.

    Example:

    >>> import keras_tuner, numpy as np, tempfile
    >>> from kerastrain.tuning import RandomOracle, pruners
    >>> def build(hp):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     model.compile(keras.optimizers.SGD(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")), "mse")
    ...     return model
    >>> oracle = RandomOracle(keras_tuner.Objective("val_loss", "min"), max_trials=3, seed=0)
    >>> tuner = SearchTuner(oracle, build, directory=tempfile.mkdtemp(), pruner=pruners.MedianPruner(startup_trials=2))
    >>> x, y = np.ones((8, 2)), np.ones(8)
    >>> tuner.search(x, y, validation_data=(x, y), epochs=2, verbose=0)
    >>> len(tuner.records), tuner.best.number in (1, 2, 3)
    (3, True)

    Reference: `keras_tuner.Tuner` (O'Malley et al., 2019, KerasTuner), which keeps the metrics of a trial's best epoch
        only.
    """

    def __init__(
        self,
        oracle: RandomOracle | GridOracle,
        hypermodel: Any,
        *,
        objective: Objective | None = None,
        directory: str | pathlib.Path = ".",
        project_name: str = "keras_tuner",
        pruner: Pruner | None = None,
        repeats: int = 1,
        total_epochs: int | None = None,
        deadline: float | None = None,
        on_trial: Callable[[TrialRecord], None] = lambda record: None,
        announce: Callable[[str], None] = lambda line: None,
        on_epoch: Callable[[int, dict[str, Any]], None] | None = None,
    ) -> None:
        ours = isinstance(hypermodel, RecipeHyperModel | BuiltModels)
        # Given the hypermodel, keras-tuner builds models here to find its space; that of ours is declared already.
        super().__init__(
            oracle,
            hypermodel=None if ours else hypermodel,
            directory=directory,
            project_name=project_name,
            overwrite=True,
        )
        self.hypermodel = hypermodel if ours else BuiltModels(hypermodel, DeclaredSpace(oracle.get_space()))
        self.objective = objective_of(oracle) if objective is None else objective
        self.pruner = pruner
        self.repeats = repeats
        self.total_epochs = total_epochs
        self.deadline = deadline
        self.on_trial = on_trial
        self.announce = announce
        self.on_epoch = on_epoch
        self.folder = pathlib.Path(directory)
        self.spent: str | None = None  # Which budget is.
        self.records: list[TrialRecord] = []
        self._ended: list[TrialRecord] = []
        self._broken: Exception | None = None
        self._asked = 0
        self._fit: Fit = ((), {}, list)

    @property
    def best(self) -> TrialRecord | None:
        """The completed trial of the best value, the first of equals; where none was completed, of the pruned ones."""
        return best(self.records, self.objective)

    def load_model(self, trial: Any) -> keras.Model:
        """The model of the best trial, for `get_best_models()`. Raises InputError for another: it is not kept."""
        found, path = self.best, self.folder / BEST_MODEL
        parameters = self.hypermodel.space.decode(trial.hyperparameters.values)
        if found is None or not path.exists() or found.parameters != parameters:
            raise InputError(f"`num_models`: only the best trial's model is kept. Received: trial {trial.trial_id}.")
        if isinstance(self.hypermodel, BuiltModels):
            return self.hypermodel.loaded(found.parameters, found.best_repeat, path)
        return keras.saving.load_model(path)

    def go_on_behind(self, records: Sequence[TrialRecord]) -> None:
        """Take trials of an earlier process for done, so that the next one is the next number.

        Raises:
            RefusedError: they are not the first trials of this search.
        """
        by_number = {record.number: record for record in records}
        for number in range(1, max(by_number, default=0) + 1):
            values, record = self.oracle.values_of(number), by_number.get(number)
            if values is None or (record is not None and self.hypermodel.space.decode(values) != record.parameters):
                raise RefusedError(
                    f"{self.folder}: trial {number} in its records is not that of this search. Received: "
                    f"{record and record.parameters}. Use --overwrite to search again."
                )
            hyperparameters = self.oracle.hyperparameters.copy()
            hyperparameters.values = dict(values)
            name = f"{number - 1:0{len(str(self.oracle.max_trials))}d}"  # As keras-tuner names its trials.
            trial = Trial(hyperparameters, trial_id=name, status=TrialStatus.COMPLETED)
            self.oracle.trials[name] = trial
            self.oracle.start_order.append(name)
            if record is None:  # Workers end trials in any order, and this one had not ended.
                self.oracle._retry_queue.insert(0, name)  # keras-tuner takes the last one first.
                continue
            trial.score = self.objective.worst if record.value is None else record.value
            self.oracle.end_order.append(name)
            self.records.append(record)
        self._tidy_up(self.records)

    def next_trial(self) -> Any:
        """The next of keras-tuner's trials, for another process; None where there is none, or a budget is spent."""
        self.pre_create_trial()
        self._asked += 1
        # Of one asker keras-tuner thinks that it still has its last trial.
        trial = self.oracle.create_trial(f"worker_{self._asked}")
        return trial if trial.status == TrialStatus.RUNNING else None

    def take(self, trial: Any, record: TrialRecord) -> None:
        """End a trial that another process has trained."""
        self._ended.append(record)
        if record.status == FAILED:
            trial.status, trial.message = TrialStatus.FAILED, record.message
        else:
            self.oracle.update_trial(trial.trial_id, self._engines_value(record))
            trial.status = TrialStatus.COMPLETED
        self.on_trial_end(trial)

    def _engines_value(self, record: TrialRecord) -> dict[str, float]:
        return {self.objective.metric: self.objective.worst if record.value is None else record.value}

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
        callbacks = kwargs.pop("callbacks", None)
        if callbacks is not None and not callable(callbacks):
            raise keras_tuner.errors.FatalValueError(
                "`callbacks` must be a function that returns fresh ones for each training; what a callback remembers "
                f"of one is wrong in the next. Received: {callbacks!r}."
            )
        self._fit = (args, kwargs, callbacks or list)
        try:
            record = self.trained(trial.hyperparameters, int(trial.trial_id) + 1)
        except Exception as error:
            self._broken = error
            raise
        self._ended.append(record)
        if record.status == FAILED:
            # The engine counts NaN as a failure too; for an error of its own it would print a traceback.
            return {self.objective.metric: math.nan}
        return self._engines_value(record)

    def on_trial_end(self, trial: Any) -> None:
        """Hand the record on. Here, since keras-tuner takes an error raised in `run_trial` for the trial's own."""
        if self._broken is not None:
            raise self._broken  # A full disk, say, which is no trial's failure.
        record = self._ended.pop()
        self.records.append(record)
        self.on_trial(record)
        # Not before it is recorded: killed in between, it goes on from its end.
        self._tidy_up([record])
        super().on_trial_end(trial)

    def _tidy_up(self, recorded: Sequence[TrialRecord]) -> None:
        """Of trials that are recorded keep the model of the best one, and nothing else."""
        found = best(self.records, self.objective)
        candidate = None if found is None else self._running(found.number) / BEST_MODEL
        if candidate is not None and candidate.exists():
            candidate.replace(self.folder / BEST_MODEL)
        for record in recorded:
            shutil.rmtree(self._running(record.number), ignore_errors=True)
        with contextlib.suppress(OSError):  # It is not there, or another trial is running.
            (self.folder / RUNNING).rmdir()

    def _running(self, number: int) -> pathlib.Path:
        return self.folder / RUNNING / f"{number:04d}"

    def _told(self, line: str) -> None:
        # Of a trial only that it goes on is news; its end has a line of its own.
        if "goes on in" in line or "damaged" in line or "cannot be written" in line:
            self.announce(line)

    def trained(self, hyperparameters: keras_tuner.HyperParameters, number: int) -> TrialRecord:
        """All trainings of a trial; those that an earlier process has finished are taken as they were."""
        training = TrialTraining(
            self.hypermodel,
            self.objective,
            self._running(number),
            records=self.records,
            pruner=self.pruner,
            repeats=self.repeats,
            fit=self._fit,
            on_epoch=self.on_epoch,
            announce=self._told,
        )
        return training.record(hyperparameters, number)
