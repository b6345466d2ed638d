"""A layer called with other values in place of some of its variables."""

from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core.errors import InputError


def substituted(layer: keras.Layer, values: Sequence[tuple[keras.Variable, Any]], *inputs: Any, **options: Any) -> Any:
    """`layer(*inputs, **options)` with `values`, pairs of a variable and what is in its place.

    Gradients flow into the values and into the other variables. What the layer assigns to the others (the state of a
    random generator) stays assigned, and the losses it adds (those of an activity regularizer) are added.

    Raises:
        InputError: the layer assigns to a variable that has another value in its place.
    """
    replaced = {id(variable) for variable, _ in values}
    others = [variable for variable in layer.variables if id(variable) not in replaced]
    # All of them, since a scope within a scope (a training step on JAX is one) hides the values of the outer one.
    mapping = [*values, *((variable, variable.value) for variable in others)]
    with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
        before = [scope.get_current_value(variable) for variable, _ in mapping]
        outputs = layer(*inputs, **options)
    for (variable, _), old in zip(mapping, before, strict=True):
        new = scope.get_current_value(variable)
        if new is old:
            continue
        if id(variable) in replaced:
            raise InputError(f"The layer `{layer.name}` assigns to its `{variable.name}`, which is replaced here.")
        variable.assign(new)
    for loss in scope.losses:
        layer.add_loss(keras.ops.multiply(loss, 1.0))  # Another tensor: Keras knows by the tensor whose loss it is.
    return outputs
