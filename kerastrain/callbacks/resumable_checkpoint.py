"""A training that goes on where it was, whatever ended it."""

import math
import pathlib
import sys
from collections.abc import Callable
from typing import Any, Literal

import keras
import numpy as np

from kerastrain._core import folder_lock, keras_training, processes, random_state
from kerastrain._core.checkpoint_store import CheckpointStore, place_of
from kerastrain._core.checks import choice, whole_number
from kerastrain._core.errors import RefusedError, WorkFailedError
from kerastrain._core.interruption import EXIT_CODES
from kerastrain.callbacks import fit_state, order, resumable_checks, resuming
from kerastrain.callbacks.circumstances import circumstances
from kerastrain.callbacks.monitor import Monitor
from kerastrain.callbacks.open_training import OpenTraining
from kerastrain.callbacks.save_times import SaveTimes
from kerastrain.callbacks.training_identity import training_identity


class ResumableCheckpoint(order.Surrounding):
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

    Under `keras.distribution` with several processes give it to all of them, with a folder that all can read: the first
    writes, and all go on from the same checkpoint. They look at signals and at `every_minutes` after every
    `every_steps` steps, or at the end of an epoch.

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

    list_place = 2  # Behind a DivergenceGuard.

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
        self.data = resumable_checks.startable(data, every_steps)
        self.times = SaveTimes(every_epochs, every_steps, every_minutes)
        self.monitor = Monitor(monitor, mode=choice("mode", mode, ("auto", "min", "max")))
        self.on_failure = choice("on_failure", on_failure, ("fail", "warn"))
        self.on_signal = choice("on_signal", on_signal, ("exit", "stop"))
        self.identity = resumable_checks.plain_data(identity)
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
        self._open = OpenTraining(self)
        self._begun = False

    def close(self) -> None:
        """Let go of the folder and of the signals, as the end of `fit` does by itself.

        After an exception in `fit` it lets the same process train in the folder again.
        """
        self._open.close()

    # The beginning of `fit`.

    def begin_training(self) -> None:
        # Before the others begin, and with it open their files anew: a training that is refused changes nothing.
        self._begun = False
        try:
            with processes.together():
                resumable_checks.check_distribution(self.model)
                self._begin()
                self._surround()
                resumable_checks.check_fitted(self.data)
            keras_training.build_optimizer(self.model)
            with processes.together():
                self._identity = self._described()
                self._batch = self.data[0] if self.data is not None else None
                found = resuming.newest_for_all(self.store, self.params["epochs"], self._tell)
                if found is not None and processes.is_first():
                    resuming.check(found, self.folder, self._identity, self.params["epochs"])
            if found is not None:
                self._resume(found)
        except BaseException:
            self._open.close()
            raise
        self._begun = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self._begun or keras_training.callback_list_of(self) is None:  # It is called by hand.
            self.begin_training()

    def _described(self) -> dict[str, Any]:
        described = training_identity(
            self.described or self.model,
            self.data,
            self.params.get("steps"),
            keras_training.validation_of_fit(),
            self._others,
        )
        return {**described, "yours": self.identity}

    def _tell(self, line: str) -> None:
        if processes.is_first():
            self.announce(line)

    def _begin(self) -> None:
        self._pending: resuming.Found | None = None
        # On JAX to ask `self.model` within an epoch takes the state of the training out of the compiled step.
        self._watched = self.model
        self._epoch = self._step = self._first_step = 0
        self._generators: Any = None
        self._last_logs: dict[str, float | None] = {}
        self._failed = False
        self.resumed_from, self.finished, self.stopped = None, False, None
        self.times.saved()
        try:
            self._open.begin(self.store.folder)
            if processes.is_first():
                self.store.clear_leftovers()
        except folder_lock.UnusableFolderError as error:
            if self.on_failure == "fail":
                raise
            self._tell(f"{error} Training goes on without checkpoints.")
        self._open.listen()

    def _surround(self) -> None:
        """Come first and last among the callbacks: what is saved has seen what all others did, and what is restored is
        there before any of them is asked."""
        self._others = self.surround()
        resume_too = (ResumableCheckpoint, keras.callbacks.BackupAndRestore)
        for line in resumable_checks.check_beside(self, resume_too, self._others):
            self._tell(line)

    def _resume(self, found: resuming.Found) -> None:
        about, epochs = found.about, self.params["epochs"]
        try:
            fit_state.check_callbacks(self._others, found.state)
            fit_state.restore_model(self.model, found.state)
        except RefusedError as error:
            raise RefusedError(f"{found.path}: {error}") from None
        self.resumed_from, self.finished, self._pending = found.path, found.is_over(epochs), found
        self._epoch, self._first_step = about["epoch"], about["step"]
        # A callback had stopped the training, and what ended the process came before its end was saved.
        self.model.stop_training = about["stopping"]
        nothing_left = self.finished or about["stopping"]
        keras_training.start_at_epoch(self.model, max(epochs, about["epoch"]) if nothing_left else about["epoch"])

    def restore_rest(self) -> None:
        """Once, when every callback's `on_train_begin` has run."""
        if self._pending is None:
            return
        found, self._pending = self._pending, None
        state = found.state
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
        for line in resuming.lines(found, self.folder, self.params["epochs"], with_data=self.data is not None):
            self._tell(line)

    # Within `fit`.

    def begin_epoch(self, epoch: int) -> None:
        self.restore_rest()
        self._epoch, self._step = epoch, self._first_step
        self._first_step = 0
        if self.data is not None:
            self.data.start(epoch, self._step)
        if self._step:
            self._whole_epochs = keras_training.shortened_epoch(self.params["steps"] - self._step)

    def begin_step(self) -> None:
        # Not earlier: to go through its data anew, PyTorch draws from its generator, which the begun epoch has done.
        if self._generators is not None:
            random_state.restore(self._generators)
            self._generators = None

    def end_training(self) -> None:
        self.restore_rest()  # A finished training that is asked for again has no epoch.

    def end_epoch(self, logs: dict[str, Any] | None) -> None:
        if self._whole_epochs is not None:
            self._whole_epochs()
            self._whole_epochs = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        executed = min(self._watched.steps_per_execution, (self.params.get("steps") or sys.maxsize) - self._step)
        self._step += executed
        self.times.count(executed)
        if self._watched.stop_training and not math.isfinite(float((logs or {}).get("loss", 0.0))):
            # What has ended it, such as TerminateOnNaN, does not say so; an end of this kind is none.
            self._failed = any(isinstance(one, keras.callbacks.TerminateOnNaN) for one in self._others)
        if self._step == self.params.get("steps") or self._watched.stop_training:
            return  # The next boundary is the epoch's end, behind its validation.
        signal_name, due = self._open.agreed(self.times.due_within_epoch(), at_once=not self.times.due_by_steps())
        if self.data is not None and (signal_name is not None or due):
            self._save(self._epoch, self._step)
        if signal_name is not None:
            self._stop(signal_name)

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.stopped is not None:
            self.model.stop_evaluating = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.stopped is not None or self._failed:
            return
        self._last_logs = {name: _json_number(value) for name, value in (logs or {}).items() if np.size(value) == 1}
        signal_name, due = self._open.agreed(self.times.due_behind(epoch + 1))
        if signal_name is not None or due:
            self._save(epoch + 1, 0, logs)
        self._epoch, self._step = epoch + 1, 0
        if signal_name is not None:
            self._stop(signal_name)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._begun = False
        try:
            if self.data is not None:
                self.data.start(self._epoch)
            if self._failed:
                self._tell(
                    f"{self.folder}: TerminateOnNaN has ended the training in epoch {self._epoch + 1}, so it is not "
                    "finished; the same command goes on from the last checkpoint."
                )
            elif self.stopped is None and not self.finished:
                self.finished = True
                self._save(self._epoch, 0, finished=True)
        finally:
            self._open.close()

    # Saving.

    def _save(self, epoch: int, step: int, logs: dict[str, Any] | None = None, *, finished: bool = False) -> None:
        state = fit_state.captured(self.model, self._others, within_epoch=step > 0)
        state["identity"] = self._identity
        broken = fit_state.not_finite(state)
        if broken is not None:
            self.finished = False
            self._tell(f"{self.store.folder}: not saved, since `{broken}` is not finite. Those before it are kept.")
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
        with processes.together():
            if processes.is_first():
                self._write(state, about)
        self.times.saved()

    def _write(self, state: Any, about: dict[str, Any]) -> None:
        try:
            self.store.save(state, about, spare=1 if about["finished"] else 0)
        except OSError as error:
            place = place_of(about["epoch"], about["step"])
            message = f"{self.store.folder}: the checkpoint {place} cannot be written ({error.strerror or error})."
            if self.on_failure == "fail":
                self._open.close()
                raise WorkFailedError(f"{message} Those before it are kept; the same command continues.") from None
            self._tell(f"{message} Those before it are kept, and training goes on.")

    def _score(self, logs: dict[str, Any]) -> float | None:
        value = self.monitor.read(logs, self.model)
        if value is None or not math.isfinite(value):
            return None
        return value if self.monitor.minimizes else -value

    def _stop(self, name: str) -> None:
        self.stopped = name
        place = "the last checkpoint" if self.data is None and self._step else "here"
        self._tell(f"{self.folder}: stopped by {name}; the same command continues from {place}.")
        if self.on_signal == "exit":
            self._open.close()
            raise SystemExit(EXIT_CODES[name])
        self.model.stop_training = True


def _json_number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
