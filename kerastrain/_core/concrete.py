"""The value of a variable, also while a function is traced that reads it."""

import keras
import numpy as np

from kerastrain._core import keras_optimizer


def concrete_value(variable: keras.Variable) -> np.ndarray | None:
    """What `variable` holds now, as a NumPy array, whatever is being traced.

    None where it holds nothing: on JAX, Keras takes the values out of a model's variables for as long as it fits,
    evaluates or predicts; on TensorFlow, a variable that is made within a trace has none before it ends.
    """
    if variable._value is None:
        return None
    # A scope within a scope hides the tracers that JAX's training step puts in place of the values.
    with keras_optimizer.outside_of_a_trace(), keras.StatelessScope():
        value = np.array(keras.ops.convert_to_numpy(variable.value))
    # TensorFlow gives an empty array for a variable that the traced function itself makes, which has no value yet.
    return value if value.shape == tuple(variable.shape) else None


def shapes_only() -> bool:
    """Whether Keras is calling layers to learn the shape of what they return, and not for numbers."""
    with keras.SymbolicScope() as scope:
        return scope.original_scope is not None
