"""The learning rate as callbacks scale it: by the multiplier of a `ComposedOptimizer`, or the number itself."""

from typing import Any

import keras

from kerastrain._core import keras_optimizer
from kerastrain._core.errors import InputError
from kerastrain.optimizers import ComposedOptimizer


def checked_number(optimizer: Any) -> float | None:
    """The learning rate of a plain optimizer; None of a `ComposedOptimizer`, which has a multiplier.

    Raises:
        InputError: a plain optimizer whose rate is no number, or a MultiOptimizer.
    """
    if isinstance(optimizer, ComposedOptimizer):
        return None
    name = type(optimizer).__name__
    if hasattr(optimizer, "optimizers"):
        raise InputError(
            f"{name} has no one learning rate. Use one ComposedOptimizer with `groups` in its place, whose "
            "`plateau_multiplier` this callback moves."
        )
    source = keras_optimizer.learning_rate_source(optimizer)
    if not isinstance(source, float):
        raise InputError(
            f"The learning rate of {name} follows {type(source).__name__}, and only a number could be set. Compile "
            f"with ComposedOptimizer({name}(...)), whose `plateau_multiplier` this callback moves on top of any "
            "schedule."
        )
    return source


def scale(optimizer: Any) -> float:
    """What is moved: the multiplier, or the rate itself."""
    return as_float(optimizer.plateau_multiplier if isinstance(optimizer, ComposedOptimizer) else rate(optimizer))


def set_scale(optimizer: Any, value: float) -> None:
    """Move it; it counts from the next update on."""
    if isinstance(optimizer, ComposedOptimizer):
        optimizer.hyperparameters["plateau_multiplier"] = value
    else:
        optimizer.learning_rate = value


def rate(optimizer: Any) -> float:
    """The learning rate of the next update."""
    return as_float(optimizer.learning_rate)


def as_float(tensor: Any) -> float:
    """A scalar tensor as a number."""
    return float(keras.ops.convert_to_numpy(tensor))
