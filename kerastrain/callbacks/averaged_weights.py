"""Validation with the weights that the optimizer averages."""

import contextlib
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from kerastrain import layers, optimizers
from kerastrain._core import processes
from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain.callbacks.stateful_callback import StatefulCallback
from kerastrain.optimizers.averaged_weights import check_averages

PREFIX = "val_averaged_"


class AveragedWeights(StatefulCallback):
    """Evaluate the averaged weights after each epoch, and save them, without a trace in the training.

        val_averaged_<metric> = evaluate(average of the weights, with batch normalization's statistics for them)

    Keras's `SwapEMAWeights` adds and subtracts, which rounds, so that one evaluation changes the weights; it leaves the
    averages in the model after `predict`; and knows an exponential average only. This one copies the averages of a
    `ComposedOptimizer` (Polyak, exponential, SWA, Lookahead) into the model and the training's variables back: not one
    bit of weights, statistics, seeds and the optimizer's state changes. The metrics are in the logs, so callbacks that
    come after this one in the list may monitor `val_averaged_loss`. Until the averages begin they are those of the
    training weights.

    `saved.averaged()` is the same as a context; `kerastrain.optimizers.averaged_weights` does it outside of a `fit`.

    Args:
        validation_data: `(x, y)` or `(x, y, sample_weight)`, a `keras.utils.PyDataset` or a dataset that can be read
            again and again; None to evaluate nothing, and only `save`.
        batch_size: of the evaluation, where the data are arrays, a whole number >= 1; None for Keras's 32.
        recalibrate_on: training samples from which batch normalization gets its statistics for the averaged weights,
            see `kerastrain.layers.recalibrate`; None to leave those of the training weights, which are wrong for an
            average of weights that lie far apart.
        recalibrate_steps: how many batches of them, a whole number >= 1; None for all.

    State: none: the averages are variables of the optimizer.

    Raises:
        InputError: an argument is something else, or an iterator, which could be read one time only; at the beginning
            of `fit`, an optimizer that averages nothing.

    Example:

    >>> import keras, numpy as np
    >>> from kerastrain.optimizers import ComposedOptimizer, PolyakAveraging
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    >>> model.compile(ComposedOptimizer(keras.optimizers.SGD(0.25), averaging=PolyakAveraging()), loss="mse")
    >>> x, y = np.ones((2, 1)), np.zeros((2, 1))
    >>> averaged = AveragedWeights((x, y))
    >>> history = model.fit(x, y, batch_size=1, validation_data=(x, y), callbacks=[averaged], verbose=0)
    >>> history.history["val_loss"], history.history["val_averaged_loss"]  # of 0.25, and of (0.5 + 0.25) / 2
    ([0.0625], [0.140625])

    Reference: Polyak and Juditsky, 1992, Acceleration of stochastic approximation by averaging, SIAM J. Control Optim.
    30; Izmailov et al., 2018, Averaging weights leads to wider optima, arXiv:1803.05407 (the statistics).
    """

    def __init__(
        self,
        validation_data: Any = None,
        batch_size: int | None = None,
        recalibrate_on: Any = None,
        recalibrate_steps: int | None = None,
    ) -> None:
        super().__init__()
        self.validation_data = _readable("validation_data", validation_data)
        _check_labels(validation_data)
        self.batch_size = None if batch_size is None else whole_number("batch_size", batch_size)
        self.recalibrate_on = _readable("recalibrate_on", recalibrate_on)
        self.recalibrate_steps = (
            None if recalibrate_steps is None else whole_number("recalibrate_steps", recalibrate_steps)
        )
        if recalibrate_on is None and recalibrate_steps is not None:
            raise InputError("`recalibrate_steps` are batches of `recalibrate_on`. Received: recalibrate_on=None.")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        check_averages(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.validation_data is None or logs is None:
            return
        with self.averaged() as model:
            found = self._evaluated(model)
        logs.update({f"{PREFIX}{name}": float(value) for name, value in found.items()})

    def _evaluated(self, model: keras.Model) -> dict[str, Any]:
        options: dict[str, Any] = {"verbose": 0, "return_dict": True}
        if isinstance(self.validation_data, tuple | list):
            names = ("x", "y", "sample_weight")
            options |= dict(zip(names, self.validation_data, strict=False)) | {"batch_size": self.batch_size}
        else:
            options["x"] = self.validation_data
        found: dict[str, Any] = model.evaluate(**options)
        return found

    @contextlib.contextmanager
    def averaged(self) -> Iterator[keras.Model]:
        """Within it the model has the averaged weights, and the statistics for them; the training's until they begin.

        Raises:
            InputError: the callback has not been in a `fit` yet.
        """
        model = self.model
        if model is None:
            raise InputError("There is no model yet. Give this callback to `fit` first.")
        if not optimizers.has_averaged_weights(model):
            yield model
            return
        with optimizers.averaged_weights(model):
            if self.recalibrate_on is not None:
                layers.recalibrate(model, self.recalibrate_on, self.recalibrate_steps)
            yield model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `.keras` file whose weights are the averaged ones, whole or not at all; the optimizer's state in it
        is the training's. `model.save` writes the training weights.

        Raises:
            InputError: another suffix, or the callback has not been in a `fit` yet.
        """
        target = pathlib.Path(path)
        if target.suffix != ".keras":
            raise InputError(f"`path` must end with .keras. Received: path={str(path)!r}.")
        with self.averaged() as model, processes.replacing(target) as temporary:
            model.save(temporary)


def _check_labels(data: Any) -> None:
    expected = "`validation_data` must be (x, y) or (x, y, sample_weight), or a dataset of such batches."
    if isinstance(data, tuple | list):
        if len(data) not in (2, 3):
            raise InputError(f"{expected} Received: {len(data)} parts.")
        lengths = [len(array) for array in keras.tree.flatten(data) if array is not None and len(np.shape(array))]
        if len(set(lengths)) > 1:
            raise InputError(f"{expected} Received: unlike numbers of samples, {lengths}.")
    elif isinstance(data, dict) or hasattr(data, "shape"):
        raise InputError(f"{expected} Received: a {type(data).__name__}, without labels.")


def _readable(name: str, data: Any) -> Any:
    """`data`, unless it can be read one time only, or not at all."""
    if hasattr(data, "__next__"):
        raise InputError(f"`{name}` is read after every epoch, so it must not be an iterator. Received: {data!r}.")
    known = data is None or isinstance(data, keras.utils.PyDataset | Iterable)
    if not known or isinstance(data, str | bytes):
        raise InputError(f"`{name}` must be arrays or a dataset. Received: {name}={data!r}.")
    return data
