"""One whole training: Keras's `fit`, with a history that is complete and a loss that is watched."""

import dataclasses
import math
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core.errors import WorkFailedError
from kerastrain.experiments.build import training_batches
from kerastrain.experiments.callback_parts import build_callbacks
from kerastrain.experiments.interruption import Interruption, StopWhenInterrupted
from kerastrain.experiments.prepare import PreparedData
from kerastrain.experiments.recipe import Recipe

EVALUATION_BATCH = 512


@dataclasses.dataclass(frozen=True)
class Training:
    """What `fit` returns.

    history: one row an epoch: epoch (from 0), loss, accuracy, val_loss, val_accuracy, ..., learning_rate, seconds.
    seconds: wall time of the training, validation after each epoch included.
    images_per_second: training samples seen, over `seconds`.
    stopped: the signal that ended it early (`SIGINT`, `SIGTERM`), or None.
    """

    history: list[dict[str, Any]]
    seconds: float
    images_per_second: float
    stopped: str | None


class EpochRecorder(keras.callbacks.Callback):
    """Keeps every epoch's values, and stops when the loss is no longer finite."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.diverged: str | None = None
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss) and self.diverged is None:
            self.diverged = f"the training loss became {loss} by batch {batch} of epoch {len(self.rows)}"
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row: dict[str, Any] = {"epoch": epoch}
        row.update({name: float(value) for name, value in (logs or {}).items()})
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row["seconds"] = round(time.perf_counter() - self._start, 4)
        self.rows.append(row)


def fit(
    recipe: Recipe,
    model: keras.Model,
    data: PreparedData,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    folder: pathlib.Path | None = None,
) -> Training:
    """Train a model made by `build` for the recipe's epochs.

    Args:
        recipe: what to do.
        model: a fresh compiled model.
        data: as `prepare` gives it.
        callbacks: further callbacks, called after the recipe's own.
        folder: where the recipe's callbacks may keep files.

    Raises:
        WorkFailedError: the training loss is not finite.
    """
    recorder, interruption = EpochRecorder(), Interruption()
    batches = training_batches(recipe, data)
    everything = [
        keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.start(epoch)),
        *build_callbacks(recipe.callbacks, folder),
        recorder,
        *callbacks,
        StopWhenInterrupted(interruption),
    ]
    start = time.perf_counter()
    with interruption.listening():
        model.fit(
            batches,
            epochs=recipe.training.epochs,
            validation_data=data.validation,
            validation_batch_size=EVALUATION_BATCH,
            callbacks=everything,
            shuffle=False,
            verbose=0,
        )
    seconds = time.perf_counter() - start
    if recorder.diverged is not None:
        raise WorkFailedError(
            f"diverged: {recorder.diverged}. Lower `optimizer.learning_rate`, or clip with "
            "`optimizer.gradient_transforms`."
        )
    samples = len(data.train[1]) * len(recorder.rows)
    return Training(recorder.rows, seconds, samples / seconds, interruption.name)
