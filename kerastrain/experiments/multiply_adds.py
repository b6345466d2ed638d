"""How much a model computes, call by call of its layers."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from kerastrain import layers
from kerastrain._core.keras_graph import Call, calls, has_graph
from kerastrain._core.keras_layers import all_layers

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_MULTI_HEAD = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
_ATTENTION = (*_MULTI_HEAD, keras.layers.Attention, keras.layers.AdditiveAttention)
# Of these each weight meets one value of a sample, or, in whitening, the whole sample.
_ONCE = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
    keras.layers.Normalization,
    keras.layers.PReLU,
    layers.MeanCentering,
    layers.MinMaxScaling,
    layers.NonNegativeShift,
    layers.PCAWhitening,
    layers.ZCAWhitening,
)
# What their layers do with their weights is not Keras's to say.
_FOREIGN = ("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")
_PRODUCTS = ("Matmul", "Dot", "Einsum", "Tensordot")


class _UnknownError(Exception):
    pass


def multiply_adds(model: keras.Model) -> tuple[float, str]:
    """Multiply-adds of one sample's forward pass; NaN, and why, where they cannot be told.

    A convolution: elements of its kernels x positions of its output, a transposed one: of its input. Attention: its
    weights x positions, and queries x keys x channels for scores and values each. `EinsumDense`, and products of
    tensors: the terms of the sum. Anything else: elements of its weights of two dimensions or more x positions, the
    largest product of the dimensions of an input or output between batch and channels. An embedding multiplies nothing.
    Each call counts. Where the number is not exact it is too large.
    """
    try:
        return float(_of_model(model, None)), ""
    except _UnknownError as unknown:
        return math.nan, str(unknown)


def _of_model(model: Any, inputs: list[Any] | None) -> float:
    if not has_graph(model):
        raise _UnknownError(f"which layers `{model.name}` ({type(model).__name__}) calls is not known")
    try:
        found = calls(model, inputs)
    except Exception as error:  # By layer, where it does not tell its shape for these inputs.
        raise _UnknownError(f"the sizes within `{model.name}` are not known") from error
    return sum(_of_call(call) for call in found)


def _of_call(call: Call) -> float:
    operation = call.operation
    tensors = [tensor for tensor in call.inputs if isinstance(tensor, keras.KerasTensor)]
    if isinstance(operation, keras.Model):
        own = len(getattr(operation, "inputs", None) or ())
        return _of_model(operation, tensors[:own] if own <= len(tensors) else None)
    if not isinstance(operation, keras.Layer) or isinstance(operation, keras.layers.Dot):
        return _of_product(call) if type(operation).__name__ in _PRODUCTS else 0
    if isinstance(operation, keras.layers.TimeDistributed):
        steps = math.prod(_known(operation, tensors[0].shape[1:2]))
        inner = [[_without_time(tensor) for tensor in some] for some in (tensors, call.outputs)]
        return steps * _of_call(Call(operation.layer, *inner))
    if isinstance(operation, keras.layers.SpectralNormalization | layers.DropConnect):
        return _of_call(Call(operation.layer, tensors, call.outputs))
    if isinstance(operation, keras.layers.Bidirectional):
        both = (operation.forward_layer, operation.backward_layer)
        return sum(_of_call(Call(layer, tensors, call.outputs)) for layer in both)
    return _of_layer(operation, tensors, call.outputs)


def _of_layer(layer: keras.Layer, inputs: list[Any], outputs: list[Any]) -> float:
    if isinstance(layer, _ATTENTION):
        return _of_attention(layer, inputs, outputs[0])
    if not isinstance(layer, keras.layers.RNN):
        _check_that_it_stands_alone(layer)
    elements = _elements(layer)
    if elements == 0 or _is_embedding(layer):
        return 0
    if isinstance(layer, _ONCE):
        return elements
    if isinstance(layer, keras.layers.EinsumDense):
        given, of_kernel = layer.equation.partition("->")[0].split(",")
        summed = zip(of_kernel.strip(), layer.kernel.shape, strict=True)
        shared = math.prod(length for index, length in summed if index in given)
        return elements * math.prod(_known(layer, inputs[0].shape[1:])) / shared
    if isinstance(layer, _CONVOLUTIONS):
        return elements * _positions(layer, outputs)
    if isinstance(layer, _TRANSPOSED):
        return elements * _positions(layer, inputs)
    return elements * _positions(layer, [*inputs, *outputs])


def _of_attention(layer: Any, inputs: list[Any], output: Any) -> float:
    if isinstance(layer, keras.layers.MultiHeadAttention):
        channels = layer.num_heads * (layer.key_dim + layer.value_dim)
    elif isinstance(layer, keras.layers.GroupQueryAttention):
        channels = layer.num_query_heads * 2 * layer.head_dim
    else:
        channels = sum(_known(layer, (inputs[0].shape[-1], output.shape[-1])))
    queries, keys = _positions(layer, [output]), _positions(layer, inputs)
    return _elements(layer) * max(queries, keys) + queries * keys * channels


def _of_product(call: Call) -> float:
    """Of two tensors; a constant has no batch."""
    tensors = [*call.inputs, call.outputs[0]]
    if len(tensors) != 3:
        raise _UnknownError(f"how `{call.operation.name}` multiplies {len(tensors) - 1} tensors is not known")
    shapes = [value.shape[1:] if isinstance(value, keras.KerasTensor) else value.shape for value in tensors]
    # Each index is in two of the three, so its length is squared; one in all three makes this too large.
    return math.sqrt(math.prod(math.prod(_known(call.operation, shape)) for shape in shapes))


def _elements(layer: keras.Layer) -> int:
    return sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)


def _positions(layer: keras.Layer, tensors: list[Any]) -> int:
    return max(math.prod(_known(layer, _between(layer, tensor.shape))) for tensor in tensors)


def _between(layer: keras.Layer, shape: Sequence[int | None]) -> list[int | None]:
    """The dimensions without batch and channels."""
    between = list(shape[1:])
    spatial = len(getattr(getattr(layer, "cell", layer), "kernel_size", between[1:]))
    if between:
        first = getattr(layer, "data_format", None) == "channels_first"
        del between[-min(spatial + 1, len(between)) if first else -1]
    return between


def _known(operation: Any, lengths: Sequence[int | None]) -> list[int]:
    known = [length for length in lengths if length is not None]
    if len(known) < len(lengths):
        raise _UnknownError(f"the size of what `{operation.name}` takes or returns is not known")
    return known


def _without_time(tensor: Any) -> Any:
    return keras.KerasTensor((tensor.shape[0], *tensor.shape[2:]), dtype=tensor.dtype)


def _is_embedding(layer: keras.Layer) -> bool:
    """Whether it only looks rows up; one with a `call` of its own may multiply."""
    return isinstance(layer, keras.layers.Embedding) and type(layer).call is keras.layers.Embedding.call


def _check_that_it_stands_alone(layer: keras.Layer) -> None:
    """Raise where the layer calls others that have weights, on what is not known."""
    inner = [each for each in all_layers(layer) if not _is_embedding(each) and not isinstance(each, _ONCE)]
    if type(layer).__name__ in _FOREIGN or any(_elements(each) for each in inner):
        raise _UnknownError(f"what `{layer.name}` ({type(layer).__name__}) computes with its layers is not known")
