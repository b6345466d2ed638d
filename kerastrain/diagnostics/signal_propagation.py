"""How activations and gradients grow or vanish from layer to layer."""

from typing import Any, NamedTuple

import keras
import numpy as np

from kerastrain._core.autodiff import value_and_gradients
from kerastrain._core.errors import InputError


class LayerSignal(NamedTuple):
    """The signal at the output of one layer.

    layer: the layer's name; of a layer that is called several times, with the number of the call.
    activation_mean, activation_standard_deviation: over all numbers of the output on the batch.
    gradient_mean, gradient_standard_deviation: of the derivative of the loss with respect to these numbers.
    """

    layer: str
    activation_mean: float
    activation_standard_deviation: float
    gradient_mean: float
    gradient_standard_deviation: float


@keras.saving.register_keras_serializable(package="kerastrain")
class _Probe(keras.layers.Layer):
    """Adds a weight of zeros to its inputs, of their shape, so that its gradient is that of the inputs."""

    def build(self, input_shape: Any) -> None:
        self.zeros = self.add_weight(shape=input_shape, initializer="zeros", autocast=False, name="zeros")

    def call(self, inputs: Any) -> Any:
        return inputs + keras.ops.cast(self.zeros, inputs.dtype)


def signal_propagation(
    model: keras.Model, x: Any, y: Any = None, loss: Any = None, training: bool = True, seed: int = 0
) -> list[LayerSignal]:
    """Mean and standard deviation of the activations and of their gradients, layer by layer, on one batch.

    What a good initialization keeps level and a bad one lets vanish or explode: call it before training. With sigmoid
    units the gradient shrinks by a factor of at most 0.25 a layer, beside that of the weights.

    Without `loss` the gradient that enters at the output is drawn from a standard normal distribution, one number for
    each output, so that only the network speaks: its standard deviation at the last layer is 1. With `loss` and `y` it
    is the loss's. The model is copied, and nothing of it changes.

    Args:
        model: a built Sequential or functional model with one output. Models nested in it count as one layer.
        x: a batch of inputs, as the model takes them.
        y: labels of the batch, for `loss`.
        loss: a function `(y, prediction)`, a `keras.losses.Loss`, or a name that `keras.losses.get` knows.
        training: whether the model is called in training mode: batch normalization by the batch, dropout on.
        seed: of the gradients that enter, where there is no `loss`.

    Returns:
        A `LayerSignal` for each layer, from the first to the last. Layers whose output is no single tensor of floating
        point numbers are left out.

    Raises:
        InputError: the model is not built, has no graph of layers or several outputs; `loss` without `y`.

    Example:

    >>> model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100), keras.layers.Dense(100)])
    >>> signals = signal_propagation(model, np.random.default_rng(0).normal(size=(200, 100)))
    >>> [round(signal.activation_standard_deviation, 1) for signal in signals]
    [1.0, 1.0]

    Reference: Glorot and Bengio, 2010, Understanding the difficulty of training deep feedforward neural networks,
    AISTATS, section 4.2.1 (activations and back-propagated gradients by layer).
    """
    _check(model, y, loss)
    names: list[str] = []
    probes: list[_Probe] = []
    inputs = keras.tree.map_structure(
        lambda tensor, array: keras.Input(
            batch_shape=(len(array), *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name
        ),
        _inputs_of(model),
        x,
    )

    def called(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        if not isinstance(outputs, keras.KerasTensor) or not keras.backend.is_float_dtype(outputs.dtype):
            return outputs
        calls = sum(name.split("#")[0] == layer.name for name in names)
        names.append(layer.name if calls == 0 else f"{layer.name}#{calls + 1}")
        probes.append(_Probe(name=f"probe_{len(probes)}", dtype="float32" if outputs.dtype == "float32" else None))
        return probes[-1](outputs)

    functional = keras.Model(_inputs_of(model), model.outputs[0], name="probed")
    copy = keras.models.clone_model(functional, input_tensors=inputs, call_function=called)
    for layer in [layer for layer in functional.layers if layer.weights]:
        copy.get_layer(layer.name).set_weights(layer.get_weights())
    taps = keras.Model(copy.inputs, [probe.output for probe in probes])
    arrays = keras.tree.map_structure(keras.ops.convert_to_tensor, x)
    activations = taps(arrays, training=training)
    activations = activations if isinstance(activations, list) else [activations]
    drawn = np.random.default_rng(seed).normal(size=tuple(copy.outputs[0].shape))
    entering = keras.ops.convert_to_tensor(drawn, dtype="float32")

    def scalar() -> Any:
        prediction = copy(arrays, training=training)
        if loss is None:
            return keras.ops.sum(keras.ops.cast(prediction, "float32") * entering)
        return keras.ops.mean(keras.losses.get(loss)(y, prediction))

    _, gradients = value_and_gradients(scalar, [probe.zeros for probe in probes])
    return [
        LayerSignal(name, *_moments(keras.ops.convert_to_numpy(activation)), *_moments(gradient))
        for name, activation, gradient in zip(names, activations, gradients, strict=True)
    ]


def _inputs_of(model: keras.Model) -> Any:
    # A Sequential has no `input` of its own; a functional model's may be a dictionary.
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _check(model: Any, y: Any, loss: Any) -> None:
    if not isinstance(model, keras.Model) or not model.built or getattr(model, "inputs", None) is None:
        raise InputError(f"`model` must be a built Sequential or functional model. Received: {model!r}.")
    if len(model.outputs) != 1:
        raise InputError(f"`model` must have one output. `{model.name}` has {len(model.outputs)}.")
    if (loss is None) != (y is None):
        raise InputError("`loss` and `y` must be given together, or neither.")


def _moments(values: np.ndarray) -> tuple[float, float]:
    wide = values.astype(np.float64)
    return float(wide.mean()), float(wide.std())
