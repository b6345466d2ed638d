"""The end of a training that no longer improves."""

import math
import time
from collections.abc import Mapping
from typing import Any

from kerastrain._core.checks import boolean, choice, number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.training_state import copied, optimizer_of, put_back, training_variables
from kerastrain.callbacks import early_stopping_checks, prechelt
from kerastrain.callbacks.early_stopping_checks import above_0, each
from kerastrain.callbacks.monitor import Monitor
from kerastrain.callbacks.stateful_callback import StatefulCallback

STOP_WHEN = ("all", "any")


class EarlyStopping(StatefulCallback):
    """Stop when the monitored value no longer improves, the validation error has risen, or the time is up.

    Keras's namesake takes a NaN of the first epoch for the best value, forgets what it knew on a resume, restores the
    weights but not their averages, and stops at no baseline while there is improvement. Here a value that is not finite
    never is the best and counts as no improvement; the state can be kept; what is restored is the whole training, with
    averages; and several monitors, Prechelt's criteria and a budget of time may stop it. The first eight arguments are
    Keras's, in its order.

        improved:  v < best - min_delta     (mode "min"; v > best + min_delta for "max")
        stopped:   no improvement for max(1, patience) epochs
                   GL = 100 (E / min E - 1) > generalization_loss
                   GL / P > progress_quotient at the end of a strip, P = 1000 (mean E_train / min E_train - 1) over it
                   max_seconds have passed

    E is the monitored value and E_train that of training, `loss` for `val_loss` and `val_averaged_loss`. Use `patience`
    by default, `generalization_loss` where the error is smooth and one is not willing to wait, `progress_quotient`
    where training is noisy at the beginning.

    Args:
        monitor: a name that epochs log, or a list of names. The first one says which epoch is the best, and is
            Prechelt's E.
        min_delta: what an improvement must exceed, a number >= 0; a list for one each.
        patience: epochs without improvement after which to stop, a whole number >= 0 (0 is as 1); None for never.
        verbose: 1 prints `description` at the end; 0 or 1.
        mode: `"min"`, `"max"`, or `"auto"`: `min` for losses, and what Keras knows of its metrics; a list for one each.
        baseline: a value to get better than, or epochs count as without improvement; None for none; a list for one
            each.
        restore_best_weights: at the end put the model and its optimizer back to the end of the best epoch: weights,
            statistics, averages, slots, counters, seeds, to the last bit. It keeps a copy of all that in memory.
        start_from_epoch: epochs at the beginning that are not looked at, a whole number >= 0.
        stop_when: of several monitors, `"all"` of them have to be out of patience, or `"any"`.
        max_seconds: wall time of the training, a number > 0, a resumed one's earlier time included; None for no limit.
            It stops at the step (of `steps_per_execution` batches) by whose end the time has passed; the epoch's
            validation still follows.
        generalization_loss: Prechelt's alpha for GL, in percent, a number > 0; None for not. It is for an error that is
            minimized and not negative.
        progress_quotient: his alpha for the quotient, a number > 0; None for not. `monitor` then begins with `val_`.
        strip_epochs: the length k of his strips, a whole number >= 1.

    State: `waits` and `bests`, one for each monitor, `best_epoch`, `best_state` (the arrays of the best epoch when they
    are to be restored), `lowest` and `strip` of Prechelt's criteria, `seconds`, `last_epoch`, `stopped_epoch`,
    `reason`.

    Attributes: `best`, `wait`, `best_epoch` and `stopped_epoch` as Keras's, epochs counted from 0; `reason`, why it
    stopped, or None; `restored`, the epoch that the model was put back to, or None; `description`, which weights the
    model holds, in one line.

    Raises:
        InputError: an argument out of range, nothing that would ever stop it or be restored; at the end of an epoch: a
            monitor that it has not logged, or an error below 0 under Prechelt's criteria.

    Example:

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    >>> model.compile(keras.optimizers.SGD(1.25), loss="mse")  # too large a rate: the loss rises
    >>> stopping = EarlyStopping("loss", patience=2, restore_best_weights=True)
    >>> x = np.ones((4, 1))
    >>> history = model.fit(x, x, epochs=10, callbacks=[stopping], verbose=0)
    >>> len(history.epoch), stopping.best_epoch
    (3, 0)
    >>> print(stopping.description)
    The model holds the weights of epoch 1, the best (loss 1), and its optimizer the state of then. Training stopped \
after epoch 3: no improvement for 2 epochs.

    Reference: Prechelt, 1998, Early stopping - but when?, in Neural networks: tricks of the trade, LNCS 1524, section
    2.1: GL and PQ. Deviations: E_train is the mean over an epoch that Keras logs, and E is known after every epoch.
    """

    state_names = (
        "waits",
        "bests",
        "best_epoch",
        "best_state",
        "lowest",
        "strip",
        "seconds",
        "last_epoch",
        "stopped_epoch",
        "reason",
    )

    def __init__(
        self,
        monitor: str | list[str] = "val_loss",
        min_delta: float | list[float] = 0.0,
        patience: int | None = 0,
        verbose: int = 0,
        mode: str | list[str] = "auto",
        baseline: float | list[float | None] | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
        stop_when: str = "all",
        max_seconds: float | None = None,
        generalization_loss: float | None = None,
        progress_quotient: float | None = None,
        strip_epochs: int = 5,
    ) -> None:
        super().__init__()
        names = list(monitor) if isinstance(monitor, list | tuple) else [monitor]
        if not names or len(set(map(repr, names))) < len(names):
            raise InputError(f"`monitor` must be a name or a list of different ones. Received: monitor={monitor!r}.")
        self.monitor, self.mode, self.min_delta, self.baseline = monitor, mode, min_delta, baseline
        modes, deltas = each("mode", mode, names), each("min_delta", min_delta, names)
        self.monitors = [Monitor(*given) for given in zip(names, modes, deltas, strict=True)]
        self.baselines = [
            None if value is None else number("baseline", value, remedy="Use None for none.")
            for value in each("baseline", baseline, names)
        ]
        self.patience = None if patience is None else whole_number("patience", patience, minimum=0)
        self.verbose = bool(verbose) if isinstance(verbose, int) else boolean("verbose", verbose)
        self.restore_best_weights = boolean("restore_best_weights", restore_best_weights)
        self.start_from_epoch = whole_number("start_from_epoch", start_from_epoch, minimum=0)
        self.stop_when = choice("stop_when", stop_when, STOP_WHEN)
        self.max_seconds = above_0("max_seconds", max_seconds)
        self.generalization_loss = above_0("generalization_loss", generalization_loss)
        self.progress_quotient = above_0("progress_quotient", progress_quotient)
        self.strip_epochs = whole_number("strip_epochs", strip_epochs)
        early_stopping_checks.check_purpose(
            self.monitors[0],
            waits=self.patience is not None or self.max_seconds is not None,
            restores=self.restore_best_weights,
            generalization_loss=self.generalization_loss,
            progress_quotient=self.progress_quotient,
        )
        if self.max_seconds is not None:  # Not a method, which would make Keras wait for every batch's logs.
            self.on_train_batch_end = self._look_at_the_clock
        self._reset()

    def _uses_prechelt(self) -> bool:
        return self.generalization_loss is not None or self.progress_quotient is not None

    def _reset(self) -> None:
        self.waits = [0] * len(self.monitors)
        self.bests: list[float | None] = [None] * len(self.monitors)
        self.best_epoch = 0
        self.best_state: list[Any] | None = None
        self.lowest: float | None = None
        self.strip: list[float] = []
        self.seconds = 0.0
        self.last_epoch: int | None = None
        self.stopped_epoch = 0
        self.reason: str | None = None
        self.restored: int | None = None
        self._started = time.monotonic()

    @property
    def best(self) -> float | None:
        """The best value of the first monitor; None before there is a finite one."""
        return self.bests[0]

    @property
    def wait(self) -> int:
        """The epochs that the first monitor has gone without improvement."""
        return self.waits[0]

    def state_dict(self) -> dict[str, Any]:
        if self.max_seconds is not None:  # Otherwise the state would differ from run to run.
            now = time.monotonic()
            self.seconds, self._started = self.seconds + now - self._started, now
        return super().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._started = time.monotonic()
        if self.reason is not None and self.model is not None:
            self.model.stop_training = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.last_epoch = epoch
        if epoch >= self.start_from_epoch:
            values = [monitor.read(logs, self.model) for monitor in self.monitors]
            for place, value in enumerate(values):
                if value is not None:
                    self._count(place, value, epoch)
            reason = self._out_of_patience()
            if values[0] is not None and self._uses_prechelt():
                reason = self._risen(values[0], logs or {}) or reason
            if reason is not None:
                self._stop(reason)
        self._look_at_the_clock()
        if self.reason is not None:
            self.stopped_epoch = epoch

    def _count(self, place: int, value: float, epoch: int) -> None:
        monitor, baseline = self.monitors[place], self.baselines[place]
        self.waits[place] += 1
        if not monitor.improves(value, self.bests[place]):
            return
        self.bests[place] = value
        if baseline is None or monitor.improves(value, baseline):
            self.waits[place] = 0
        if place == 0:
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_state = copied(training_variables(self.model))

    def _out_of_patience(self) -> str | None:
        if self.patience is None:
            return None
        limit = max(1, self.patience)
        out = [monitor.name for monitor, wait in zip(self.monitors, self.waits, strict=True) if wait >= limit]
        if not out or (self.stop_when == "all" and len(out) < len(self.monitors)):
            return None
        of = "" if len(self.monitors) == 1 else f" of {', '.join(out)}"
        return f"no improvement{of} for {limit} epoch{'s' * (limit > 1)}"

    def _risen(self, error: float, logs: Mapping[str, Any]) -> str | None:
        name = self.monitors[0].name
        if not self.monitors[0].minimizes or error < 0:
            raise InputError(
                "`generalization_loss` and `progress_quotient` are of an error that is minimized and >= 0. "
                f"Received: {name!r}, {error:g} in this epoch."
            )
        if self.progress_quotient is not None:
            training = name.removeprefix("val_").removeprefix("averaged_")
            if training not in logs:
                raise InputError(f"`progress_quotient` compares {name!r} with {training!r}, which is not logged.")
            self.strip.append(float(logs[training]))
        strip = self.strip if len(self.strip) == self.strip_epochs else []
        if strip:
            self.strip = []
        if not math.isfinite(error):
            return None
        self.lowest = error if self.lowest is None else min(self.lowest, error)
        loss = prechelt.generalization_loss(error, self.lowest)
        if self.generalization_loss is not None and loss > self.generalization_loss:
            return f"{name} is {loss:.4g} % above its minimum"
        if self.progress_quotient is not None and strip and all(math.isfinite(value) for value in strip):
            quotient = prechelt.progress_quotient(loss, prechelt.training_progress(strip))
            if quotient > self.progress_quotient:
                return f"the generalization loss of {name} is {quotient:.4g} times the training progress"
        return None

    def _look_at_the_clock(self, batch: int | None = None, logs: dict[str, Any] | None = None) -> None:
        if self.max_seconds is None or self.reason is not None:
            return
        if self.seconds + time.monotonic() - self._started >= self.max_seconds:
            self._stop(f"{self.max_seconds:g} seconds have passed")

    def _stop(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
        self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.best_state is not None:
            put_back(training_variables(self.model), self.best_state)
            self.restored = self.best_epoch
            self._overwrite_by_averages()
        if self.verbose:
            print(self.description, flush=True)

    def _overwrite_by_averages(self) -> None:
        # Keras's `use_ema` leaves the averages in the model at the end of a fit, those of the last epoch by now.
        if getattr(optimizer_of(self.model), "use_ema", False):
            optimizer_of(self.model).finalize_variable_values(self.model.trainable_variables)
            for variable in self.model.trainable_variables:  # On JAX it shares the averages' buffers, which crashes.
                variable.assign(copied([variable])[0])

    @property
    def description(self) -> str:
        """Which weights the model holds and why training ended, in one line; epochs counted from 1."""
        if self.last_epoch is None:
            return "No epoch has ended."
        name, last = self.monitors[0].name, self.last_epoch + 1
        best = "no epoch had a finite " + name
        if self.best is not None:
            best = f"the best {name}, {self.best:.6g}, was that of epoch {self.best_epoch + 1}"
        held = f"The model holds the weights of epoch {last}, the last; {best}."
        if self.restored is not None:
            held = (
                f"The model holds the weights of epoch {self.restored + 1}, the best ({name} {self.best:.6g}), "
                "and its optimizer the state of then."
            )
        return held if self.reason is None else f"{held} Training stopped after epoch {last}: {self.reason}."
