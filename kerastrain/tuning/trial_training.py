"""How one trial is trained: once for each repeat, pruned by the trials before it, its best weights kept."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras_tuner

from kerastrain._core.errors import WorkFailedError
from kerastrain.experiments.fit import EpochRecorder
from kerastrain.tuning.best_weights import BestWeights
from kerastrain.tuning.epoch_notice import EpochNotice
from kerastrain.tuning.error_text import one_line
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.pruners import Pruner
from kerastrain.tuning.pruning import PruneTrial, curves
from kerastrain.tuning.records import COMPLETED, DIVERGED, FAILED, PRUNED, TrialRecord, best
from kerastrain.tuning.repeats import Repeat, combined, read
from kerastrain.tuning.search_folder import BEST_MODEL

Fit: TypeAlias = tuple[tuple[Any, ...], dict[str, Any], Callable[[], Any]]
"""Arguments of `fit`, its options, and a function that returns further callbacks."""


class TrialInterruptedError(keras_tuner.errors.FatalError):
    """A signal came during a trial. keras-tuner lets a FatalError through, which ends the search."""

    def __init__(self, signal: str) -> None:
        super().__init__(f"interrupted by {signal}")
        self.signal = signal


@dataclasses.dataclass(frozen=True)
class TrialTraining:
    """The trainings of one trial.

    hypermodel: what builds and fits: a `RecipeHyperModel` or `BuiltModels`.
    objective: metric and mode.
    folder: of the trial while it runs: its finished repeats, its checkpoints and its best model.
    records: of the trials before; the pruner looks at them.
    pruner, repeats, on_epoch: as `SearchTuner` has them.
    fit: what `fit` is given besides.
    announce: is given one line for each thing worth telling.
    """

    hypermodel: Any
    objective: Objective
    folder: pathlib.Path
    records: Sequence[TrialRecord]
    pruner: Pruner | None
    repeats: int
    fit: Fit
    on_epoch: Callable[[int, dict[str, Any]], None] | None
    announce: Callable[[str], None]

    def record(self, hyperparameters: keras_tuner.HyperParameters, number: int) -> TrialRecord:
        """Train it from every seed; repeats that an earlier process has finished are taken as they were.

        Raises:
            TrialInterruptedError: a signal came; what was under way is saved.
        """
        done: list[Repeat] = []
        for repeat in range(1, self.repeats + 1):
            one = read(self.folder, repeat) or self._repeat(hyperparameters, number, repeat, done)
            if repeat < self.repeats:
                one.write(self.folder)
            done.append(one)
            if one.status != COMPLETED:
                break
        parameters = self.hypermodel.space.decode(hyperparameters.values)
        return combined(number, parameters, done, self.repeats, self.objective)

    def _repeat(
        self, hyperparameters: keras_tuner.HyperParameters, number: int, repeat: int, done: Sequence[Repeat]
    ) -> Repeat:
        self.hypermodel.repeat = repeat
        start = time.perf_counter()
        epochs = EpochRecorder()
        notices = [] if self.on_epoch is None else [EpochNotice(number, epochs, self.on_epoch)]
        pruning = self._pruning(epochs, repeat)
        weights = BestWeights(self.objective, epochs, self._to_beat(done))
        rows, found, message = epochs.rows, None, None
        try:
            model = self.hypermodel.build(hyperparameters)
            args, options, callbacks = self.fit
            training = self.hypermodel.fit(
                hyperparameters,
                model,
                *args,
                **options,
                callbacks=[epochs, *notices, weights, *callbacks(), *([pruning] if pruning is not None else [])],
                folder=self.folder / f"repeat_{repeat}",
                announce=self.announce,
            )
        except WorkFailedError as error:
            status, message = DIVERGED, str(error)
        except Exception as error:
            # Out of memory, a model that cannot be built: this trial's end, recorded, and not the search's.
            status, message = FAILED, f"{type(error).__name__}: {one_line(error)}"
        else:
            if training.stopped is not None:
                raise TrialInterruptedError(training.stopped)
            rows = training.history
            self.objective.check_logged(rows)
            found = self.objective.best(rows)
            status, message = _ending(found is not None, pruning, self.objective)
            weights.save(self.folder / BEST_MODEL, lambda: self.hypermodel.to_save(hyperparameters, model))
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
