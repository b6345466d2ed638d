"""A model with its averaged weights, for a while."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kerastrain._core import keras_optimizer, replicas
from kerastrain._core.errors import InputError
from kerastrain.optimizers.composed_optimizer import ComposedOptimizer
from kerastrain.optimizers.lookahead_optimizer import LookaheadOptimizer


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[keras.Model]:
    """Within the context `model` holds the weights that its optimizer averaged: to evaluate, predict or save them.

    All variables of the model are copied, and copied back at the end, whatever happens; not one bit of the training
    state changes. Keras's `SwapEMAWeights` adds and subtracts, which rounds. With `Lookahead` these are the slow
    weights, and with a rule that exposes its theta (`LookaheadNesterov`) that.

    The statistics of batch normalization are not averaged: they belong to the weights that the model was trained with.
    `kerastrain.layers.recalibrate(model, data)` within the context gives those of the averaged weights.

    Args:
        model: compiled with a `ComposedOptimizer` that has `averaging`, and trained.

    Yields:
        The model.

    Raises:
        InputError: there is nothing averaged: no `averaging`, no update yet, or a `Lookahead` that has not written yet.
            (The other averages follow the weights until they begin.)
        RuntimeError: at the end, when the model was trained within the context: what it learned there is discarded.

    Example:

    >>> import keras, kerastrain, numpy as np
    >>> from kerastrain.optimizers import ComposedOptimizer, PolyakAveraging, averaged_weights
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    >>> model.compile(ComposedOptimizer(keras.optimizers.SGD(0.25), averaging=PolyakAveraging()), loss="mse")
    >>> history = model.fit(np.ones((2, 1)), np.zeros((2, 1)), batch_size=1, verbose=0)
    >>> model.get_weights()[0].item()  # from 1 to 0.5 to 0.25
    0.25
    >>> with averaged_weights(model):
    ...     model.get_weights()[0].item()
    0.375
    """
    optimizer = _averaging_optimizer(model)
    values = _averages(optimizer)
    if values is None:
        check_averages(model)
        first, made = _first_update(optimizer), _updates(optimizer)
        why = f"begins to average at update {first}, and has made {made}" if made else "has not made an update yet"
        raise InputError(f"The optimizer of `{model.name}` {why}, so there are no averaged weights.")
    variables = keras_optimizer.built_with(optimizer)
    counters = _counters(optimizer)
    everything = list({id(variable): variable for variable in [*model.variables, *variables]}.values())
    kept = [np.array(keras.ops.convert_to_numpy(variable)) for variable in everything]
    copies = [replicas.copies_of(variable) for variable in everything]
    try:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(np.array(value))
        yield model
    finally:
        for variable, value in zip(everything, kept, strict=True):
            variable.assign(value)
        for variable, own in zip(everything, copies, strict=True):
            if own is not None:
                replicas.set_copies(variable, own)
    if _counters(optimizer) != counters:
        raise RuntimeError(
            "The model was trained within `averaged_weights`. Its weights are again those of before; the optimizer's "
            "state is not. Train outside of the context."
        )


def has_averaged_weights(model: keras.Model) -> bool:
    """Whether the optimizer of `model` has begun to average: whether `averaged_weights` gives other weights."""
    optimizer = _optimizer(model)
    if not isinstance(optimizer, ComposedOptimizer | LookaheadOptimizer):
        return False
    first = _first_update(optimizer)
    return first is not None and _updates(optimizer) >= first


def check_averages(model: keras.Model) -> None:
    """Raise InputError where training would never make averages: another optimizer, or one without `averaging`."""
    if _first_update(_averaging_optimizer(model)) is None:
        raise InputError(f"The optimizer of `{model.name}` has no `averaging`, so there are no averaged weights.")


def _averaging_optimizer(model: Any) -> Any:
    if not isinstance(model, keras.Model):
        raise InputError(f"`model` must be a compiled keras.Model. Received: {model!r}.")
    optimizer = _optimizer(model)
    if not isinstance(optimizer, ComposedOptimizer | LookaheadOptimizer):
        raise InputError(
            f"The model `{model.name}` must be compiled with a ComposedOptimizer that has `averaging`. "
            f"Its optimizer is: {type(optimizer).__name__}."
        )
    return optimizer


def _optimizer(model: keras.Model) -> Any:
    optimizer = getattr(model, "optimizer", None)
    return getattr(optimizer, "inner_optimizer", optimizer)  # LossScaleOptimizer, under mixed_float16


def _averages(optimizer: Any) -> list[Any] | None:
    first, made = _first_update(optimizer), _updates(optimizer)
    if first is None or made == 0 or (made < first and not optimizer.averaging.follows):
        return None
    averages: list[Any] | None = optimizer.theta()
    return averages


def _updates(optimizer: Any) -> int:
    return int(keras.ops.convert_to_numpy(optimizer.iterations))


def _first_update(optimizer: Any) -> int | None:
    """The update from which on there is something averaged; None for never."""
    if isinstance(optimizer, LookaheadOptimizer):
        return 1 if optimizer.looks_ahead else None
    if optimizer.averaging is not None:
        return max(1, optimizer.averaging.first_update())
    return 1 if optimizer.averages_weights() else None


def _counters(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """What every step of training moves one of: updates, accumulated batches, skipped steps."""
    return [
        keras.ops.convert_to_numpy(variable).tolist() for variable in optimizer.variables if "int" in variable.dtype
    ]
