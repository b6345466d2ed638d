"""The model of the best trial, as it was at its best epoch."""

import math
import pathlib
from collections.abc import Callable
from typing import Any

import keras

from kerastrain._core import atomic_files
from kerastrain._core.training_state import copied, put_back, training_variables
from kerastrain.callbacks import StatefulCallback
from kerastrain.experiments.fit import EpochRecorder
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.pruners import Curve


class BestWeights(StatefulCallback):
    """Holds weights, statistics and the optimizer's state of the best epoch, when it is better than `to_beat`.

    In memory, and for trials that become the best only, so that most trials copy nothing; `keras_tuner.Tuner` writes
    the weights to disk at every epoch that improves on those of its trial.

    Args:
        objective: what is better.
        epochs: has the rows of this trial; it stands before this callback in `fit`.
        to_beat: the best value so far; None for none.

    State: `value`, the best one, or None; `state`, the arrays of then, or None.
    """

    state_names = ("value", "state")

    def __init__(self, objective: Objective, epochs: EpochRecorder, to_beat: float | None) -> None:
        super().__init__()
        self.objective, self.epochs, self.to_beat = objective, epochs, to_beat
        self.value: float | None = None
        self.state: list[Any] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = Curve.of(self.epochs.rows[-1:], self.objective.metric, completed=False).values[-1]
        bar = self.to_beat if self.value is None else self.value
        if not math.isnan(value) and self.objective.sortable(value) < self.objective.sortable(bar):
            self.value, self.state = value, copied(training_variables(self.model))

    def save(self, path: pathlib.Path, to_save: Callable[[], keras.Model]) -> None:
        """Put the model back to its best epoch, and write what `to_save` makes of it, whole or not at all."""
        if self.state is None:
            return
        put_back(training_variables(self.model), self.state)
        with atomic_files.replacing(path) as temporary:
            to_save().save(temporary)
