"""Any hyperparameter that lives in a variable, moved along a schedule."""

from collections.abc import Callable
from typing import Any

import keras

from kerastrain._core.checks import choice, number
from kerastrain._core.errors import InputError
from kerastrain._core.keras_layers import all_layers
from kerastrain._core.training_state import optimizer_of
from kerastrain.callbacks.stateful_callback import StatefulCallback
from kerastrain.optimizers.hyperparameters import Hyperparameters

BY = ("epoch", "step")


class ScheduleHyperparameter(StatefulCallback):
    """Move a hyperparameter while a compiled training runs: momentum, weight decay, a clip bound, a dropout rate.

        value = schedule(epoch)     set at the beginning of each epoch, counted from 0
                schedule(updates)   set before each step, `updates` being the optimizer's `iterations`

    Keras has `LearningRateScheduler`, for the learning rate only; its other numbers are part of the compiled step.
    `kerastrain` keeps them in variables: those of `optimizer.hyperparameters` and the rate of `VariableRateDropout`.
    For the learning rate itself, and for a momentum whose rule takes a schedule, a schedule in the optimizer is better:
    it moves at every update and costs nothing.

    Args:
        hyperparameter: a name of `optimizer.hyperparameters`, such as `"momentum"`,
            `"clip_by_global_norm.max_norm"` or `"head.weight_decay"`; or a layer of the model with a movable `rate`; or
            a class of such layers, for all that are in the model; or a scalar `keras.Variable`; or a list of these, to
            which the same value is given.
        schedule: a `LearningRateSchedule`, or a function of the whole number of the epoch or the update that returns a
            number. It must depend on that alone: so a resumed training needs no state of it.
        by: `"epoch"` or `"step"`. By step, it moves between two calls of the compiled function: every
            `steps_per_execution` batches. On JAX that takes the weights out of the compiled function each time, which
            costs a little.

    State: none; what is set is a variable of the optimizer or the model.

    Raises:
        InputError: an argument is something else; at the beginning of `fit`: no such hyperparameter (the message names
            those there are), no such layer, or a rate that is a Python number; when it is set: a value out of its
            range.

    Example:

    >>> import keras, numpy as np
    >>> from kerastrain.optimizers import ComposedOptimizer, MomentumSGD
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(ComposedOptimizer(MomentumSGD(0.1, momentum=0.5)), loss="mse")
    >>> rising = ScheduleHyperparameter("momentum", lambda epoch: 0.5 if epoch < 2 else 0.875)
    >>> x = np.ones((4, 1))
    >>> history = model.fit(x, x, epochs=3, callbacks=[rising], verbose=0)
    >>> float(model.optimizer.hyperparameters["momentum"])
    0.875

    Reference: Sutskever, Martens, Dahl and Hinton, 2013, On the importance of initialization and momentum in deep
    learning, ICML, section 3 (momentum over time); Morerio et al., 2017, Curriculum dropout, arXiv:1703.06229.
    """

    def __init__(self, hyperparameter: Any, schedule: Callable[[int], Any], by: str = "epoch") -> None:
        super().__init__()
        given = list(hyperparameter) if isinstance(hyperparameter, list | tuple) else [hyperparameter]
        for item in given:
            if not isinstance(item, str | keras.Layer | keras.Variable) and not _is_layer_class(item):
                raise InputError(
                    "`hyperparameter` must be a name of `optimizer.hyperparameters`, a layer, a class of layers, a "
                    f"keras.Variable, or a list of such. Received: {item!r}."
                )
        if not given:
            raise InputError("`hyperparameter` must name something to move. Received: [].")
        if not callable(schedule):
            raise InputError(
                f"`schedule` must be a LearningRateSchedule or a function of the epoch or step. Received: {schedule!r}."
            )
        self.hyperparameter = hyperparameter
        self.schedule = schedule
        self.by = choice("by", by, BY)
        self._given = given
        self._setters: list[Callable[[float], None]] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._setters = [setter for item in self._given for setter in self._setters_of(item)]

    def _setters_of(self, item: Any) -> list[Callable[[float], None]]:
        if isinstance(item, str):
            return [self._by_name(item)]
        if isinstance(item, keras.Variable):
            if tuple(item.shape) != ():
                shape = tuple(item.shape)
                raise InputError(
                    f"`hyperparameter` must be a scalar variable. Received: {item.path!r}, of shape {shape}."
                )
            return [item.assign]
        layers = [
            layer
            for layer in all_layers(self.model)
            if layer is item or (isinstance(item, type) and isinstance(layer, item))
        ]
        if not layers:
            what = item.__name__ if isinstance(item, type) else repr(item.name)
            raise InputError(f"The model {self.model.name!r} has no layer {what}. Give one of its layers.")
        return [_of_layer(layer) for layer in layers]

    def _by_name(self, name: str) -> Callable[[float], None]:
        optimizer = optimizer_of(self.model)
        hyperparameters = getattr(optimizer, "hyperparameters", None)
        if not isinstance(hyperparameters, Hyperparameters):
            raise InputError(
                f"{type(optimizer).__name__} has no hyperparameter that can be moved during training: Keras bakes its "
                f"numbers into the compiled step. Received: hyperparameter={name!r}. Compile with "
                "kerastrain.optimizers.ComposedOptimizer around it, or a rule of kerastrain.optimizers."
            )
        hyperparameters[name]  # Raises, and names those that there are.
        if name in hyperparameters.fixed:
            raise InputError(f"`{name}` of {hyperparameters.owner} cannot be set. {hyperparameters.fixed[name]}")
        return lambda value: hyperparameters.__setitem__(name, value)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.by == "epoch":
            self._set(epoch)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.by == "step":
            self._set(int(keras.ops.convert_to_numpy(optimizer_of(self.model).iterations)))

    def _set(self, position: int) -> None:
        value = self.schedule(position)
        if keras.ops.is_tensor(value):
            value = keras.ops.convert_to_numpy(value)
        value = number(f"schedule({position})", value)
        _ = self.model  # On JAX the variables are empty within an epoch until the model is asked for.
        for setter in self._setters:
            setter(value)


def _is_layer_class(item: Any) -> bool:
    return isinstance(item, type) and issubclass(item, keras.Layer)


def _of_layer(layer: Any) -> Callable[[float], None]:
    rate = getattr(type(layer), "rate", None)
    if not isinstance(rate, property) or rate.fset is None:
        raise InputError(
            f"The layer {layer.name!r}, a {type(layer).__name__}, has no rate that can be moved during training. Use "
            "kerastrain.layers.VariableRateDropout, whose rate is a variable."
        )
    return lambda value: setattr(layer, "rate", value)
