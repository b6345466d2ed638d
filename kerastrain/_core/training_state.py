"""The variables that a training consists of, copied and put back to the last bit."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._core.errors import InputError


def optimizer_of(model: keras.Model) -> Any:
    """The model's optimizer, from within the LossScaleOptimizer that Keras puts around it under mixed_float16."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def training_variables(model: keras.Model) -> list[keras.Variable]:
    """Weights, statistics, seeds, and all of the optimizer's state: slots, averages, counters, what callbacks moved."""
    return list({id(variable): variable for variable in [*model.variables, *model.optimizer.variables]}.values())


def copied(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """The values of the variables."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def put_back(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Give the variables values that were copied from them.

    Raises:
        InputError: they are not values of these variables; nothing is changed then.
    """
    shapes = [tuple(variable.shape) for variable in variables]
    given = [np.shape(value) for value in values]
    if shapes != given:
        raise InputError(
            f"The kept weights must be those of this model and optimizer: {len(shapes)} variables of the same shapes. "
            f"Received: {len(given)}, of other shapes. Go on with the model and the optimizer that they are of."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(np.array(value))
