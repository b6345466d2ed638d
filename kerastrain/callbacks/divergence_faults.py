"""What a DivergenceGuard takes for a fault."""

import statistics
from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core import keras_training
from kerastrain.optimizers import RecordGradientNorms

# What is wrong, and the value; None for one that is not finite.
Fault = tuple[str, float | None]


def exploded(what: str, value: float, window: list[float], length: int, factor: float) -> Fault | None:
    """The fault of a value that is more than `factor` times the median of a full window; any other goes into it.

    A median that is not above 0 is not compared.
    """
    if len(window) == length:
        usual = statistics.median(window)
        if usual > 0 and value > factor * usual:
            return f"{what} is {value:.6g}, {value / usual:.3g} times its median of {usual:.6g}", value
    window.append(value)
    del window[:-length]
    return None


def loss_sums(model: keras.Model, tracker: Any) -> list[float]:
    """Sum and weight of the mean loss that is logged, between two steps of a training."""
    variables = (tracker.total, tracker.count)
    return [float(keras_training.value_within_step(model, variable)) for variable in variables]


def added_loss(before: Sequence[float], after: Sequence[float]) -> float | None:
    """The loss of the execution between: what it has added to the mean; None where it has added nothing."""
    return (after[0] - before[0]) / (after[1] - before[1]) if after[1] > before[1] else None


def recorder_of(optimizer: Any) -> RecordGradientNorms | None:
    """The transform that knows the norm of the gradients, where the optimizer has one."""
    transforms = getattr(optimizer, "gradient_transforms", ())
    return next((one for one in transforms if isinstance(one, RecordGradientNorms)), None)
