"""The value of a variable, also while a function is traced that reads it."""

import keras
import numpy as np

from kerastrain._core import keras_optimizer


def concrete_value(variable: keras.Variable) -> np.ndarray | None:
    """What `variable` holds now, as a NumPy array, whatever is being traced.

    None where it holds nothing: on JAX, Keras takes the values out of a model's variables for as long as it fits,
    evaluates or predicts.
    """
    if variable._value is None:
        return None
    # A scope within a scope hides the tracers that JAX's training step puts in place of the values.
    with keras_optimizer.outside_of_a_trace(), keras.StatelessScope():
        return np.array(keras.ops.convert_to_numpy(variable.value))


def shapes_only() -> bool:
    """Whether Keras is calling layers to learn the shape of what they return, and not for numbers."""
    with keras.SymbolicScope() as scope:
        return scope.original_scope is not None
