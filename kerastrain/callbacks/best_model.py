"""The model of the best epoch, in a file that is always whole."""

import contextlib
import math
import os
import pathlib
from typing import Any, Literal

from kerastrain import optimizers
from kerastrain._core import processes
from kerastrain._core.checks import boolean, choice, place_for_file
from kerastrain._core.errors import InputError
from kerastrain.callbacks.monitor import Monitor
from kerastrain.callbacks.stateful_callback import StatefulCallback
from kerastrain.optimizers.averaged_weights import check_averages


class BestModel(StatefulCallback):
    """Keep the model of the epoch whose monitored value is the best, as one `.keras` file.

        saved after epoch e when v_e is finite and better than v_0, ..., v_(e-1)

    `keras.callbacks.ModelCheckpoint(save_best_only=True)` opens the old file to write the new one, so a kill during the
    write loses both; it forgets the best value on a resume, so the first epoch after it counts as the best; and NaN may
    count as an improvement. Here the new file takes the place of the old one when it is whole, what is best is part of
    a checkpoint, and NaN never is.

    Args:
        path: the file, which must end with .keras; its folder is made.
        monitor: a name that epochs log.
        mode: `"min"`, `"max"`, or `"auto"`: `min` for losses, and what Keras knows of its metrics.
        averaged: save the averaged weights of a `ComposedOptimizer` (once they have begun) instead of the training's;
            then monitor `val_averaged_loss` of an `AveragedWeights` in front.
        verbose: 1 prints a line when a model is saved; 0 or 1.

    State: `best` and `best_epoch`.

    Attributes: `best`, the value, or None; `best_epoch`, counted from 0, or None.

    Raises:
        InputError: an argument out of its range; at the beginning of `fit`, a path at which there can be no file, or
            `averaged` with an optimizer that averages nothing; at the end of an epoch, a monitor that it has not
            logged.

    Example:

    >>> import keras, numpy as np, tempfile
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    >>> model.compile(keras.optimizers.SGD(1.25), loss="mse")  # too large a rate: the loss rises
    >>> x = np.ones((4, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = BestModel(f"{folder}/best.keras", monitor="loss")
    ...     history = model.fit(x, x, epochs=3, callbacks=[best], verbose=0)
    ...     loaded = keras.saving.load_model(best.path)
    >>> best.best_epoch, best.best
    (0, 1.0)

    Reference: Goodfellow, Bengio and Courville, 2016, Deep learning, algorithm 7.1, whose theta* is the file.
    """

    state_names = ("best", "best_epoch")

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        averaged: bool = False,
        verbose: Literal[0, 1] = 0,
    ) -> None:
        super().__init__()
        if not isinstance(path, str | os.PathLike) or pathlib.Path(path).suffix != ".keras":
            raise InputError(f"`path` must end with .keras. Received: path={path!r}.")
        self.path = pathlib.Path(path)
        self.monitor = Monitor(monitor, choice("mode", mode, ("auto", "min", "max")))
        self.averaged = boolean("averaged", averaged)
        if verbose not in (0, 1):
            raise InputError(f"`verbose` must be 0 or 1. Received: verbose={verbose!r}.")
        self.verbose = verbose
        self.best: float | None = None
        self.best_epoch: int | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        place_for_file("path", self.path)
        if self.averaged:
            check_averages(self.model)
        self.best = self.best_epoch = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = self.monitor.read(logs, self.model)
        if value is None or not math.isfinite(value) or not self.monitor.improves(value, self.best):
            return
        begun = self.averaged and optimizers.has_averaged_weights(self.model)
        weights = optimizers.averaged_weights(self.model) if begun else contextlib.nullcontext()
        with weights, processes.replacing(self.path) as temporary:
            self.model.save(temporary)
        self.best, self.best_epoch = value, epoch
        if self.verbose and processes.is_first():
            print(f"Epoch {epoch + 1}: {self.monitor.name} {value:.5g} is the best so far; saved as {self.path}.")
