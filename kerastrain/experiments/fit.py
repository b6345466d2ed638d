"""One whole training: Keras's `fit`, with a history that is complete and a loss that is watched."""

import contextlib
import csv
import dataclasses
import io
import math
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from kerastrain._core import atomic_files, small_data
from kerastrain._core.errors import WorkFailedError
from kerastrain.callbacks import EarlyStopping, ResumableCheckpoint, StatefulCallback
from kerastrain.experiments.build import callback_context, training_batches
from kerastrain.experiments.callback_context import EVALUATION_BATCH
from kerastrain.experiments.callback_parts import build_callbacks
from kerastrain.experiments.interruption import Interruption, StopWhenInterrupted
from kerastrain.experiments.prepare import PreparedData
from kerastrain.experiments.recipe import Recipe
from kerastrain.experiments.run_folder import HISTORY


@dataclasses.dataclass(frozen=True)
class Training:
    """What `fit` returns.

    history: one row an epoch: epoch (from 0), loss, accuracy, val_loss, val_accuracy, ..., learning_rate, seconds.
    seconds: wall time of the training, validation after each epoch included, and that of earlier processes up to the
        checkpoints from which it went on.
    earlier_seconds: the part of it that earlier processes have taken.
    images_per_second: training samples of the history, over `seconds`.
    stopped: the signal that ended it early (`SIGINT`, `SIGTERM`), or None.
    resumed: how many times it went on from a checkpoint.
    notes: what early stopping has to tell: which weights the model holds, and why training ended.
    """

    history: list[dict[str, Any]]
    seconds: float
    images_per_second: float
    stopped: str | None
    resumed: int = 0
    earlier_seconds: float = 0.0
    notes: tuple[str, ...] = ()


class EpochRecorder(StatefulCallback):
    """Keeps every epoch's values and the time, and raises WorkFailedError when the loss is no longer finite.

    A `DivergenceGuard` beside it decides in its place: of a step that the guard takes back it is told no loss.

    Args:
        path: a CSV file that is replaced whole after every epoch; None for none. `keras.callbacks.CSVLogger` appends to
            an open file, so a crash can leave half a row.
        interrupted: once it says so, the epoch under way is not whole and gets no row.
    """

    state_names = ("rows", "seconds", "resumed")

    def __init__(self, path: pathlib.Path | None = None, interrupted: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self.path = path
        self.interrupted = interrupted
        self.rows: list[dict[str, Any]] = []
        self.resumed = 0
        self.earlier_seconds = 0.0
        self._made = time.perf_counter()
        self._epoch_begun: float | None = None

    @property
    def seconds(self) -> float:
        """Since it was made, and in earlier processes."""
        return self.earlier_seconds + time.perf_counter() - self._made

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on behind the rows of an earlier process, or where a divergence guard goes back to."""
        # In place: a training's caller may hold the list.
        self.rows[:] = state["rows"]
        if self._epoch_begun is None:  # A guard goes back within an epoch, and not in time.
            self.earlier_seconds, self.resumed = state["seconds"], state["resumed"] + 1

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch_begun = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            # Not by `stop_training`: the end of `fit` would look like that of a whole training.
            raise WorkFailedError(
                f"diverged: the training loss became {loss} by batch {batch + 1} of epoch {len(self.rows) + 1}. Lower "
                "`optimizer.learning_rate`, clip with `optimizer.gradient_transforms`, or put `divergence_guard` among "
                "the `callbacks`."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.interrupted():
            return
        row: dict[str, Any] = {"epoch": epoch}
        row.update({name: float(value) for name, value in (logs or {}).items()})
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row["seconds"] = round(time.perf_counter() - (self._epoch_begun or self._made), 4)
        self.rows.append(row)
        if self.path is not None:
            stream = io.StringIO()
            writer = csv.DictWriter(stream, list(self.rows[0]), lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)
            atomic_files.write_text(self.path, stream.getvalue())


def fit(
    recipe: Recipe,
    model: keras.Model,
    data: PreparedData,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    folder: pathlib.Path | None = None,
    announce: Callable[[str], None] | None = None,
    checkpoint: Mapping[str, Any] | None = None,
    described: keras.Model | None = None,
) -> Training:
    """Train a model made by `build` for the recipe's epochs.

    Args:
        recipe: what to do.
        model: a fresh compiled model.
        data: as `prepare` gives it.
        callbacks: further callbacks, called after the recipe's own.
        folder: where history.csv, checkpoints and the files of the recipe's callbacks are kept; None for nowhere, and
            then the training cannot be resumed.
        announce: is given one line for each thing worth telling.
        checkpoint: arguments of the callback `resumable_checkpoint`, where the recipe has none.
        described: the model that a checkpoint is of, where `model` is one of its structure that was trained before and
            put into its state.

    Raises:
        WorkFailedError: the training loss is not finite, or a divergence guard gives up.
    """
    batches = training_batches(recipe, data)
    context = dataclasses.replace(callback_context(recipe, data, folder), batches=batches, announce=announce)
    own = build_callbacks(recipe.callbacks, context, checkpoint)
    interruption = Interruption()
    saving = next((one for one in own if isinstance(one, ResumableCheckpoint)), None)
    if saving is not None:
        saving.described = described

    def stopped() -> str | None:
        return interruption.name if saving is None else saving.stopped

    recorder = EpochRecorder(None if folder is None else folder / HISTORY, lambda: stopped() is not None)
    everything = [*own, recorder, *callbacks]
    if saving is None:  # A checkpoint listens for signals itself.
        everything.append(StopWhenInterrupted(interruption))
    with interruption.listening() if saving is None else contextlib.closing(saving):
        model.fit(
            small_data.prepared_for_fit(batches),
            epochs=recipe.training.epochs,
            validation_data=data.validation_batches,
            validation_batch_size=EVALUATION_BATCH,
            callbacks=everything,
            shuffle=False,
            verbose=0,
        )
    seconds = recorder.seconds
    samples = len(data.train[1]) * len(recorder.rows)
    notes = tuple(callback.description for callback in everything if isinstance(callback, EarlyStopping))
    return Training(
        recorder.rows, seconds, samples / seconds, stopped(), recorder.resumed, recorder.earlier_seconds, notes
    )
