"""What the tests of activations and layers share: gradients on every backend, in NumPy too, and a look into a fit."""

import math

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()
# PyTorch compiles by its own compiler, which needs a C++ one; TensorFlow takes seconds for each, so that the contract's
# tests compile each layer one time, and the rest is slow.
JITS = {
    "tensorflow": [False, pytest.param(True, marks=pytest.mark.slow)],
    "jax": [False, True],
    "torch": [False],
}[BACKEND]


def array(tensor):
    """A copy of a tensor as NumPy; half precision becomes float32."""
    return np.array(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def differentiated(function, inputs=(), variables=()):
    """The outputs of `function(*inputs)`, and the gradients of their sum by the inputs and by the variables."""
    inputs = [keras.ops.convert_to_tensor(value) for value in inputs]
    variables = list(variables)
    outputs, gradients = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[BACKEND](function, inputs, variables)
    gradients = [None if gradient is None else array(gradient) for gradient in gradients]
    return array(outputs), gradients[: len(inputs)], gradients[len(inputs) :]


def _tensorflow(function, inputs, variables):
    import tensorflow as tf

    places = [*inputs, *(variable.value for variable in variables)]
    with tf.GradientTape() as tape:
        tape.watch(places)
        outputs = function(*inputs)
        total = keras.ops.sum(outputs)
    return outputs, tape.gradient(total, places)


def _torch(function, inputs, variables):
    import torch

    inputs = [value.detach().requires_grad_(True) for value in inputs]
    outputs = function(*inputs)
    places = [*inputs, *(variable.value for variable in variables)]
    return outputs.detach(), torch.autograd.grad(outputs.sum(), places, allow_unused=True)


def _jax(function, inputs, variables):
    import jax

    count = len(inputs)

    def total(places):
        with keras.StatelessScope(state_mapping=list(zip(variables, places[count:], strict=True))):
            outputs = function(*places[:count])
        return keras.ops.sum(outputs), outputs

    (_, outputs), gradients = jax.value_and_grad(total, has_aux=True)(
        [*inputs, *(variable.value for variable in variables)]
    )
    return outputs, gradients


def central_differences(function, point, step=1e-6):
    """The derivative of an elementwise NumPy function in float64."""
    point = np.float64(point)
    return (function(point + step) - function(point - step)) / (2 * step)


def four_sigma(count, probability):
    """How far the fraction of hits in `count` independent tries lies from the probability, but for 1 of 16,000."""
    return 4 * math.sqrt(probability * (1 - probability) / count)


class Watch(keras.layers.Layer):
    """Passes its inputs on, keeps those of the last step in a weight, and counts how often Python calls it."""

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.seen = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="seen", autocast=False)
        self.traces = 0
        self.built = True

    def call(self, inputs):
        self.traces += 1
        self.seen.assign(keras.ops.cast(inputs, "float32"))
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


class _Collect(keras.callbacks.Callback):
    def __init__(self, before):
        super().__init__()
        self.before = before
        self.outputs, self.traces = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.before(epoch)

    def on_epoch_end(self, epoch, logs=None):
        watch = self.model.get_layer("watch")
        self.outputs.append(array(watch.seen))
        self.traces.append(watch.traces)


def watched_fit(layer, inputs, steps, jit, before=lambda step: None, watched_shape=None):
    """Train a layer and a dense one behind it, one step an epoch; returns the layer's output in each step, the number
    of traces after each, and the model.

    `before(step)` runs before each step.
    """
    model = keras.Sequential(
        [
            keras.Input(inputs.shape[1:], batch_size=len(inputs)),
            layer,
            Watch(watched_shape or inputs.shape, name="watch"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse", jit_compile=jit)
    return *_collected(model, inputs, steps, before), model


def watched_again(model, layer, inputs, steps):
    """The layer's output in each step of another fit of a watched model, with its generator set back to its seed."""
    layer.seed_generator.state.assign([layer.seed, 0])
    return _collected(model, inputs, steps)[0]


def _collected(model, inputs, steps, before=lambda step: None):
    collect = _Collect(before)
    targets = np.ones((len(inputs), 1), np.float32)
    model.fit(inputs, targets, batch_size=len(inputs), epochs=steps, shuffle=False, verbose=0, callbacks=[collect])
    return collect.outputs, collect.traces


def reloaded(model, folder):
    """The model after a way through a `.keras` file."""
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")
