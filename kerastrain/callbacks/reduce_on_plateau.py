"""A smaller learning rate once nothing improves."""

from typing import Any

import numpy as np

from kerastrain._core.checks import boolean, number, whole_number
from kerastrain._core.training_state import optimizer_of
from kerastrain.callbacks import movable_rate
from kerastrain.callbacks.monitor import Monitor
from kerastrain.callbacks.stateful_callback import StatefulCallback


class ReduceOnPlateau(StatefulCallback):
    """Multiply the learning rate by a factor when the monitored value no longer improves, on top of any schedule.

    `keras.callbacks.ReduceLROnPlateau` sets the rate, so it raises a TypeError at the first plateau where that follows
    a schedule; a NaN of the first epoch is its best value for ever; and what it counts is lost on a resume. This one
    moves the `plateau_multiplier` of a `ComposedOptimizer`:

        rate(step) = schedule(step) * multiplier
        multiplier <- max(min_multiplier, factor * multiplier)      after `patience` epochs without v < best - min_delta

    (`v > best + min_delta` for mode "max"). With a plain Keras optimizer whose rate is a number it multiplies that. On
    a number it does what Keras's does, epoch by epoch. Use it where the length of the training is not known; a schedule
    over the run (`kerastrain.optimizers.schedules`) is the better choice where it is.

    Setting `optimizer.learning_rate`, as `keras.callbacks.LearningRateScheduler` does, puts the multiplier back to 1.

    Args:
        monitor: a name that epochs log.
        factor: of one reduction, a number in (0, 1).
        patience: epochs without improvement after which to reduce, a whole number >= 0 (0 is as 1).
        verbose: 1 prints a line at each reduction; 0 or 1.
        mode: `"min"`, `"max"`, or `"auto"`: `min` for losses, and what Keras knows of its metrics.
        min_delta: what an improvement must exceed, a number >= 0.
        cooldown: epochs after a reduction that are not counted, a whole number >= 0.
        min_multiplier: the multiplier goes no lower, a number >= 0 and below 1: the smallest rate as a part of the rate
            without plateaus; for a plain optimizer, of the rate at the beginning of `fit`.

    State: `best`, `wait` and `cooldown_counter`, and `initial_rate` of a plain optimizer. The multiplier, or the rate,
    is a variable of the optimizer and saved with it.

    Raises:
        InputError: an argument out of its range; at the beginning of `fit`, a plain optimizer whose rate is no number,
            or a MultiOptimizer; at the end of an epoch, a monitor that it has not logged.

    Example:

    >>> import keras, numpy as np
    >>> from kerastrain.optimizers import ComposedOptimizer
    >>> schedule = keras.optimizers.schedules.InverseTimeDecay(0.5, 1, 1.0)  # 0.5 / (1 + step)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    >>> model.compile(ComposedOptimizer(keras.optimizers.SGD(schedule)), loss="mse")
    >>> x = np.zeros((4, 1))
    >>> plateau = ReduceOnPlateau("loss", factor=0.5, patience=2)
    >>> history = model.fit(x, x, epochs=3, callbacks=[plateau], verbose=0)
    >>> float(model.optimizer.hyperparameters["plateau_multiplier"]), float(model.optimizer.learning_rate)
    (0.5, 0.0625)

    Reference: `keras.callbacks.ReduceLROnPlateau`, for the counting; PyTorch's of that name has a relative threshold.
    """

    state_names = ("best", "wait", "cooldown_counter", "initial_rate")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_multiplier: float = 0.0,
    ) -> None:
        super().__init__()
        self.monitor = Monitor(monitor, mode, min_delta)
        self.factor = number("factor", factor, above=0, below=1)
        self.patience = whole_number("patience", patience, minimum=0)
        self.verbose = bool(verbose) if isinstance(verbose, int) else boolean("verbose", verbose)
        self.cooldown = whole_number("cooldown", cooldown, minimum=0)
        self.min_multiplier = number("min_multiplier", min_multiplier, minimum=0, below=1)
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0
        self.initial_rate: float | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._reset()
        self.initial_rate = movable_rate.checked_number(optimizer_of(self.model))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        optimizer = optimizer_of(self.model)
        if logs is not None:
            logs["learning_rate"] = movable_rate.rate(optimizer)
        value = self.monitor.read(logs, self.model)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.monitor.improves(value, self.best):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and self._reduced(optimizer):
                self.cooldown_counter = self.cooldown
                self.wait = 0
                if self.verbose:
                    print(
                        f"Epoch {epoch + 1}: no improvement of {self.monitor.name}, "
                        f"the learning rate goes on at {movable_rate.rate(optimizer):.6g}.",
                        flush=True,
                    )

    def _reduced(self, optimizer: Any) -> bool:
        """Whether there was something left to take off."""
        present = movable_rate.scale(optimizer)
        least = self.min_multiplier * (1.0 if self.initial_rate is None else self.initial_rate)
        if present <= np.float32(least):
            return False
        movable_rate.set_scale(optimizer, max(present * self.factor, least))
        return True
