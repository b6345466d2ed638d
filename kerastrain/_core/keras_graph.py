"""What is used of a Keras model's graph of calls beyond the public API; a test fails when Keras changes it."""

from typing import Any, NamedTuple

import keras
from keras import tree

from kerastrain._core.keras_layers import all_layers


class Call(NamedTuple):
    """One call of an operation: what it was given that has a shape, and what it returned."""

    operation: Any
    inputs: list[Any]
    outputs: list[Any]


def has_graph(model: Any) -> bool:
    """Whether the calls of the model's layers are known: a Sequential or Functional model, with Keras's `call` or one
    of kerastrain's."""
    definer = next(kind for kind in type(model).__mro__ if "call" in vars(kind))
    return isinstance(_function(model), keras.Function) and definer.__module__.partition(".")[0] in (
        "keras",
        "kerastrain",
    )


def calls(model: Any, inputs: list[Any] | None = None) -> list[Call]:
    """The calls in the graph of a model that `has_graph`, those that give it its inputs left out.

    Args:
        model: the model.
        inputs: symbolic tensors of other sizes than those the model was built with, or None.
    """
    function = _function(model)
    own = function.inputs
    if inputs is None or [tensor.shape[1:] for tensor in inputs] == [tensor.shape[1:] for tensor in own]:
        by_depth = function._nodes_by_depth
        nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]
        return [
            Call(node.operation, _shaped(node.arguments.args, node.arguments.kwargs), node.outputs) for node in nodes
        ]
    found = []

    def called(operation: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = operation.compute_output_spec(*args, **kwargs)
        found.append(Call(operation, _shaped(args, kwargs), tree.flatten(outputs)))
        return outputs

    function._run_through_graph(inputs, call_fn=called)
    return found


def makers_of_outputs(model: Any) -> list[keras.Layer]:
    """The layers whose calls return the outputs of a model that `has_graph`, and the layers within them."""
    makers = []
    tensors = list(_function(model).outputs)
    while tensors:
        history = tensors.pop()._keras_history
        operation = history.operation
        if isinstance(operation, keras.Model) and has_graph(operation):
            makers += makers_of_outputs(operation)
        elif isinstance(operation, keras.Layer):
            makers += [operation, *all_layers(operation)]
        else:  # What is no layer computes in what it is given.
            tensors += operation._inbound_nodes[history.node_index].input_tensors
    return makers


def _function(model: Any) -> Any:
    return model._functional if isinstance(model, keras.Sequential) else model


def _shaped(args: Any, kwargs: Any) -> list[Any]:
    return [value for value in tree.flatten((args, kwargs)) if hasattr(value, "shape")]
