"""A training that goes on where it was, whatever ended it."""

import contextlib
import math
import os
import pathlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np

from kerastrain._core import folder_lock, keras_training, machine, random_state
from kerastrain._core.checkpoint_store import CheckpointStore
from kerastrain._core.checks import choice, number, whole_number
from kerastrain._core.differences import differences
from kerastrain._core.errors import InputError, RefusedError, WorkFailedError
from kerastrain._core.interruption import EXIT_CODES, Interruption
from kerastrain.callbacks import fit_state, keras_states, order
from kerastrain.callbacks.monitor import Monitor
from kerastrain.callbacks.training_identity import training_identity


class ResumableCheckpoint(keras.callbacks.Callback):
    """Save all that a training is, and continue it by the same command: to the same result, bit for bit.

        batches = kerastrain.datasets.Batches(x, y, batch_size=128, seed=0)
        model.fit(batches, epochs=30, shuffle=False, callbacks=[ResumableCheckpoint("runs/a", batches)])

    What is saved: weights, statistics, the optimizer's slots, averages and counters, all seed generators, what the
    other callbacks remember, the history, the metrics of a begun epoch, and the position in it. What is not right is
    told and never worked around in silence: damaged checkpoints are named and set aside, another model, optimizer, data
    or batch size is refused by field, so is a second process. Keras's BackupAndRestore loses the callbacks' state, the
    seeds of dropout and the position within an epoch, and does not notice a flipped bit.

    It finds the callbacks beside it by itself, and runs after them wherever it stands in the list. A callback of your
    own keeps its state when it has `state_dict` and `load_state_dict` (see `StatefulCallback`); of one without them,
    what it remembers is lost, and that is said.

    Bit-identity holds for one machine type, one set of library versions and one number of threads, which every
    checkpoint notes; a difference is told on resume. `keras.utils.set_random_seed` makes the beginning repeatable.

    Args:
        folder: the run's folder; checkpoints are in its `checkpoints/`.
        data: what `fit` is given, when its position can be set: `kerastrain.datasets.Batches`, or anything with
            `start(epoch, step)` and `identity()`. None for a pipeline of your own: a resume then starts at the
            beginning of an epoch, and is bit-identical as far as your pipeline is a function of its own seed.
        every_epochs: save at the end of every so many epochs, a whole number >= 1; None for not.
        every_steps: save after so many steps within an epoch, a whole number >= 1 (the next execution's end, under
            `steps_per_execution`); None for not. Needs `data`.
        every_minutes: save when so many minutes have passed since the last time, a number > 0; None for not. Within an
            epoch it needs `data`, otherwise it waits for the end of one.
        keep_last: how many of the newest checkpoints stay, a whole number >= 1.
        keep_best: how many of the best epochs' checkpoints stay as well, by `monitor`; a whole number >= 0.
        monitor: what the best epochs are told by.
        mode: `"min"`, `"max"` or `"auto"`, of `monitor`.
        on_failure: when a checkpoint cannot be written (a full disk): `"fail"` ends the training with WorkFailedError,
            `"warn"` tells and goes on; the earlier checkpoints stay in both.
        on_signal: after SIGINT or SIGTERM it saves at the end of the step (of the epoch's last one: behind the
            validation), and then: `"exit"` leaves the process with
            130 or 143, `"stop"` ends `fit`, with the signal's name in `stopped`. A second signal ends at once.
        identity: what else must stay the same for a resume, as plain data, such as a seed: `{"seed": 0}`.
        announce: is given one line for each thing worth telling. Default: print to stderr.

    Attributes: `resumed_from`, the path of the checkpoint, or None; `finished`, whether the training has come to its
    end, now or in an earlier process; `stopped`, the signal, or None; `described`, None, or a compiled model whose
    config is to be told in place of that of the trained one, which was put into its state.

    Raises:
        InputError: an argument out of range. At the beginning of `fit`: RefusedError for another training or a folder
            in use, WorkFailedError when all checkpoints are damaged.

    Example:

    >>> import numpy as np, tempfile
    >>> def train(epochs):
    ...     keras.utils.set_random_seed(0)
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     model.compile("adam", "mse")
    ...     checkpoint = ResumableCheckpoint(folder, announce=lambda line: None)
    ...     history = model.fit(np.ones((8, 2)), np.ones(8), epochs=epochs, callbacks=[checkpoint], verbose=0)
    ...     return len(history.history["loss"]), checkpoint.resumed_from is not None
    >>> folder = tempfile.mkdtemp()
    >>> train(2), train(3)
    ((2, False), (3, True))

    Reference: the promises and how they are kept, docs/checkpoints.md.
    """

    list_place = 2

    def __init__(
        self,
        folder: str | pathlib.Path,
        data: Any = None,
        *,
        every_epochs: int | None = 1,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        keep_last: int = 2,
        keep_best: int = 0,
        monitor: str = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        on_failure: Literal["fail", "warn"] = "fail",
        on_signal: Literal["exit", "stop"] = "exit",
        identity: dict[str, Any] | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.data = data
        if data is not None and not (hasattr(data, "start") and hasattr(data, "identity")):
            raise InputError(
                "`data` must be able to start within an epoch, as kerastrain.datasets.Batches does. Received: "
                f"{type(data).__name__}. Leave it out, and a resume starts at the beginning of an epoch."
            )
        self.every_epochs = None if every_epochs is None else whole_number("every_epochs", every_epochs)
        self.every_steps = None if every_steps is None else whole_number("every_steps", every_steps)
        self.every_minutes = None if every_minutes is None else number("every_minutes", every_minutes, above=0)
        if every_steps is not None and data is None:
            raise InputError(
                "`every_steps` needs `data` whose position can be set, such as kerastrain.datasets.Batches. Received: "
                f"data=None, every_steps={every_steps}. A pipeline of your own is saved by epochs."
            )
        if every_epochs is None and every_steps is None and every_minutes is None:
            raise InputError("One of `every_epochs`, `every_steps` and `every_minutes` must say when to save.")
        self.monitor = Monitor(monitor, mode=choice("mode", mode, ("auto", "min", "max")))
        self.on_failure = choice("on_failure", on_failure, ("fail", "warn"))
        self.on_signal = choice("on_signal", on_signal, ("exit", "stop"))
        self.identity = identity
        self.announce = announce or (lambda line: print(line, file=sys.stderr))
        self.store = CheckpointStore(
            self.folder / "checkpoints",
            whole_number("keep_last", keep_last),
            whole_number("keep_best", keep_best, minimum=0),
        )
        self.described: keras.Model | None = None
        self.resumed_from: pathlib.Path | None = None
        self.finished = False
        self.stopped: str | None = None
        self._others: list[keras.callbacks.Callback] = []
        self._whole_epochs: Callable[[], None] | None = None
        self._open = contextlib.ExitStack()

    def close(self) -> None:
        """Let go of the folder and of the signals, as the end of `fit` does by itself.

        After an exception in `fit` it lets the same process train in the folder again.
        """
        self._open.close()

    # The beginning of `fit`.

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        try:
            self._begin()
            self._surround()
            self._check_data()
            if not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            self._identity = {
                **training_identity(self.described or self.model, self.data, self.params.get("steps")),
                "yours": self.identity,
            }
            self._batch = self.data[0] if self.data is not None else None
            found = self._found()
            if found is not None:
                self._resume(*found)
        except BaseException:
            self._open.close()
            raise

    def _begin(self) -> None:
        self._open.close()
        _close_abandoned()
        _OPEN.append(self)
        self._open.callback(_OPEN.remove, self)
        self._thread = threading.get_ident()
        self._called_by_fit = False
        self._interruption = Interruption()
        self._pending: Any = None
        # On JAX to ask `self.model` within an epoch takes the state of the training out of the compiled step.
        self._watched = self.model
        self._epoch = self._step = self._first_step = 0
        self._saved_at = time.monotonic()
        self._steps_since = 0
        self._generators: Any = None
        self._last_logs: dict[str, float | None] = {}
        self.resumed_from, self.finished, self.stopped = None, False, None
        try:
            self._open.enter_context(
                folder_lock.locked(
                    self.store.folder,
                    argument="folder",
                    remedy="Two trainings need two folders, or wait for the other.",
                )
            )
            self.store.clear_leftovers()
        except folder_lock.UnusableFolderError as error:
            if self.on_failure == "fail":
                raise
            self.announce(f"{error} Training goes on without checkpoints.")
        self._open.enter_context(self._interruption.listening())
        self._open.callback(keras_training.start_at_epoch, self.model, None)

    def _surround(self) -> None:
        """Come first and last among the callbacks: what is saved has seen what all others did, and what is restored is
        there before any of them is asked."""
        self._called_by_fit = keras_training.callback_list_of(self) is not None
        self._others = order.surround(self, _First(self))
        for other in self._others:
            if isinstance(other, ResumableCheckpoint | keras.callbacks.BackupAndRestore):
                raise InputError(
                    f"`callbacks` must have one that resumes. Received: a {type(other).__name__} beside it."
                )
        unknown = sorted({type(one).__name__ for one in self._others if not keras_states.is_known(one)})
        if unknown:
            self.announce(
                f"Not in the checkpoints: what {', '.join(unknown)} remembers. Give it `state_dict()` and "
                "`load_state_dict(state)`, see kerastrain.callbacks.StatefulCallback."
            )

    def _check_data(self) -> None:
        """That a position in `data` is one in what `fit` goes through."""
        fitted = keras_training.fitted_data()
        if fitted is None or not isinstance(self.data, keras.utils.PyDataset):
            return
        given, shuffled, steps = fitted
        if given is not self.data:
            raise InputError(f"`data` must be the same object that `fit` is given. Received: other data ({given!r}).")
        if shuffled:
            raise InputError("`fit` would permute the batches of `data`. Received: shuffle=True. Use shuffle=False.")
        if steps is not None:
            raise InputError(
                f"`fit` would begin epochs in the middle of `data`. Received: steps_per_epoch={steps}. Leave it out."
            )

    def _found(self) -> tuple[pathlib.Path, Any, dict[str, Any]] | None:
        """The checkpoint to go on from."""
        found = self.store.newest_valid(self.announce)
        if found is None or not found[2]["finished"]:
            return found
        epochs, about = self.params["epochs"], found[2]
        if about["ended_early"] or about["epochs"] >= epochs:
            return found
        # More epochs are wanted: on from the last one's end, before what callbacks did at the end of `fit`.
        return self.store.newest_valid(self.announce, lambda about: not about["finished"]) or found

    def _resume(self, path: pathlib.Path, state: Any, about: dict[str, Any]) -> None:
        rows = differences(state["identity"], self._identity)
        if rows:
            more = f" and {len(rows) - 6} more" if len(rows) > 6 else ""
            raise RefusedError(
                f"{self.folder}: holds another training. It differs in {'; '.join(rows[:6])}{more}. Use another "
                "folder, or remove it."
            )
        epochs = self.params["epochs"]
        self.finished = about["finished"] and (about["ended_early"] or about["epochs"] >= epochs)
        if not self.finished and (about["epoch"], about["step"]) > (epochs, 0):
            present = about["epoch"] + (about["step"] > 0)
            raise RefusedError(
                f"{self.folder}: is already in epoch {present}. epochs: {about['epochs']} -> {epochs}. Give `fit` as "
                "many epochs as before or more."
            )
        try:
            fit_state.restore_model(self.model, state)
        except RefusedError as error:
            raise RefusedError(f"{path}: {error}") from None
        self.resumed_from, self._pending = path, state
        self._epoch, self._first_step = about["epoch"], about["step"]
        # A callback had stopped the training, and what ended the process came before its end was saved.
        self.model.stop_training = about["stopping"]
        nothing_left = self.finished or about["stopping"]
        keras_training.start_at_epoch(self.model, max(epochs, about["epoch"]) if nothing_left else about["epoch"])
        self._tell_resumed(path, about)

    def _tell_resumed(self, path: pathlib.Path, about: dict[str, Any]) -> None:
        there, here = about["circumstances"], circumstances()
        rows = differences(there, here)
        if rows:
            self.announce(f"{path}: written under other circumstances, so not bit-identical: {'; '.join(rows[:6])}.")
        if self.finished:
            values = ", ".join(f"{name} {value:.4g}" for name, value in about["logs"].items() if value is not None)
            self.announce(f"{self.folder}: this training is finished after {about['epoch']} epochs ({values}).")
            return
        if about["stopping"]:
            self.announce(f"{path}: training had been stopped after {about['epoch']} epochs, and ends.")
            return
        place = f"epoch {about['epoch'] + 1}" + (f", behind step {about['step']}" if about["step"] else "")
        note = (
            "" if self.data is not None else " The order of the data is fit's own; give `data` to make it repeatable."
        )
        self.announce(f"{path}: training goes on in {place}.{note}")

    def restore_rest(self) -> None:
        """Once, when every callback's `on_train_begin` has run."""
        if self._pending is None:
            return
        state, self._pending = self._pending, None
        try:
            if state["metrics"] is not None:
                fit_state.restore_metrics(keras_training.built_metrics(self.model, self._batch), state)
            fit_state.restore_callbacks(self._others, state)
        except RefusedError as error:
            raise RefusedError(f"{self.resumed_from}: {error}") from None
        if state["metrics"] is None:
            random_state.restore(state["random"])
        else:
            self._generators = state["random"]

    # Within `fit`.

    def begin_epoch(self, epoch: int) -> None:
        """Before any other callback's `on_epoch_begin`."""
        self.restore_rest()
        self._epoch, self._step = epoch, self._first_step
        self._first_step = 0
        if self.data is not None:
            self.data.start(epoch, self._step)
        if self._step:
            self._whole_epochs = keras_training.shortened_epoch(self.params["steps"] - self._step)

    def begin_step(self) -> None:
        """Before any other callback's `on_train_batch_begin`."""
        # Not earlier: to go through its data anew, PyTorch draws from its generator, which the begun epoch has done.
        if self._generators is not None:
            random_state.restore(self._generators)
            self._generators = None

    def end_epoch(self) -> None:
        """Before any other callback's `on_epoch_end`."""
        if self._whole_epochs is not None:
            self._whole_epochs()
            self._whole_epochs = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        executed = min(self._watched.steps_per_execution, (self.params.get("steps") or sys.maxsize) - self._step)
        self._step += executed
        self._steps_since += executed
        signal_name = self._interruption.name
        due = self._steps_due() or (self._minutes_due() and self.data is not None)
        if self._step == self.params.get("steps") or self._watched.stop_training:
            return  # The next boundary is the epoch's end, behind its validation.
        if self.data is not None and (signal_name is not None or due):
            self._save(self._epoch, self._step)
        if signal_name is not None:
            self._stop(signal_name)

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.stopped is not None:
            self.model.stop_evaluating = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.stopped is not None:
            return
        self._last_logs = {name: _json_number(value) for name, value in (logs or {}).items() if np.size(value) == 1}
        signal_name = self._interruption.name
        due = self.every_epochs is not None and (epoch + 1) % self.every_epochs == 0
        if signal_name is not None or due or self._steps_due() or self._minutes_due():
            self._save(epoch + 1, 0, logs)
        self._epoch, self._step = epoch + 1, 0
        if signal_name is not None:
            self._stop(signal_name)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        try:
            if self.data is not None:
                self.data.start(self._epoch)
            if self.stopped is None and not self.finished:
                self.finished = True
                self._save(self._epoch, 0, finished=True)
        finally:
            self._open.close()

    # Saving.

    def _steps_due(self) -> bool:
        return self.every_steps is not None and self._steps_since >= self.every_steps

    def _minutes_due(self) -> bool:
        return self.every_minutes is not None and time.monotonic() - self._saved_at >= 60 * self.every_minutes

    def _save(self, epoch: int, step: int, logs: dict[str, Any] | None = None, *, finished: bool = False) -> None:
        state = fit_state.captured(self.model, self._others, within_epoch=step > 0)
        state["identity"] = self._identity
        broken = fit_state.not_finite(state)
        if broken is not None:
            self.finished = False
            self.announce(f"{self.store.folder}: not saved, since `{broken}` is not finite. Those before it are kept.")
            return
        about = {
            "epoch": epoch,
            "step": step,
            "epochs": self.params["epochs"],
            "steps": self.params.get("steps"),
            "finished": finished,
            "stopping": bool(self.model.stop_training),
            "ended_early": bool(finished and self.model.stop_training),
            "score": self._score(logs) if logs is not None and self.store.keep_best else None,
            "logs": self._last_logs,
            "circumstances": circumstances(),
        }
        try:
            self.store.save(state, about, spare=1 if finished else 0)
        except OSError as error:
            place = f"epoch {epoch}" + (f", step {step}" if step else "")
            message = f"{self.store.folder}: the checkpoint of {place} cannot be written ({error.strerror or error})."
            if self.on_failure == "fail":
                self._open.close()
                raise WorkFailedError(f"{message} Those before it are kept; the same command continues.") from None
            self.announce(f"{message} Those before it are kept, and training goes on.")
        self._saved_at, self._steps_since = time.monotonic(), 0

    def _score(self, logs: dict[str, Any]) -> float | None:
        value = self.monitor.read(logs, self.model)
        if value is None or not math.isfinite(value):
            return None
        return value if self.monitor.minimizes else -value

    def _stop(self, name: str) -> None:
        self.stopped = name
        place = "the last checkpoint" if self.data is None and self._step else "here"
        self.announce(f"{self.folder}: stopped by {name}; the same command continues from {place}.")
        if self.on_signal == "exit":
            self._open.close()
            raise SystemExit(EXIT_CODES[name])
        self.model.stop_training = True


_OPEN: list[ResumableCheckpoint] = []


def _close_abandoned() -> None:
    """Let go of folders and signals that trainings hold whose `fit` an exception has ended: of that Keras tells no
    callback."""
    for one in list(_OPEN):
        called = one._called_by_fit and one._thread == threading.get_ident()
        if called and keras_training.callback_list_of(one) is None:
            one._open.close()


class _First(keras.callbacks.Callback):
    """Stands before all other callbacks for a checkpoint that stands behind them."""

    list_place = -2

    def __init__(self, checkpoint: ResumableCheckpoint) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.checkpoint.begin_epoch(epoch)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.checkpoint.begin_step()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.checkpoint.end_epoch()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        # A finished training that is asked for again has no epoch.
        self.checkpoint.restore_rest()


def circumstances() -> dict[str, Any]:
    """What bit-identity depends on beside the training itself."""
    facts = machine.facts()
    threads = {name: value for name in _THREADS if (value := os.environ.get(name)) is not None}
    return {
        "versions": machine.versions(),
        "machine": {name: facts[name] for name in ("processor", "flags", "cores")},
        "threads": threads,
    }


_THREADS = (
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_DETERMINISTIC_OPS",
    "XLA_FLAGS",
    "MKL_NUM_THREADS",
)


def _json_number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
