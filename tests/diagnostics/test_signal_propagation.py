"""Signals by layer against NumPy's forward and backward pass."""

import keras
import numpy as np
import pytest

from kerastrain import topologies
from kerastrain._core.errors import InputError
from kerastrain.diagnostics import signal_propagation

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)


def dense_network():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(5, "tanh", name="first"), keras.layers.Dense(3, "sigmoid", name="second")]
    return keras.Sequential([keras.Input((6,)), *layers])


def moments(values):
    return values.mean(), values.std()


def test_a_loss_is_propagated_as_in_numpy():
    model = dense_network()
    y = np.random.default_rng(1).uniform(size=(64, 3)).astype(np.float32)
    w1, b1, w2, b2 = model.get_weights()
    h = np.tanh(X @ w1 + b1)
    p = 1 / (1 + np.exp(-(h @ w2 + b2)))
    at_output = 2 * (p - y) / y.size  # of the mean of squares over all numbers
    at_hidden = (at_output * p * (1 - p)) @ w2.T
    signals = signal_propagation(model, X, y, "mse")
    assert [signal.layer for signal in signals] == ["first", "second"]
    for signal, activation, gradient in zip(signals, (h, p), (at_hidden, at_output), strict=True):
        np.testing.assert_allclose(signal[1:3], moments(activation), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(signal[3:], moments(gradient), rtol=1e-4, atol=1e-8)


def test_without_a_loss_a_standard_normal_enters():
    model = dense_network()
    _, _, w2, b2 = model.get_weights()
    first, second = signal_propagation(model, X, seed=3)
    drawn = np.random.default_rng(3).normal(size=(64, 3))
    np.testing.assert_allclose(second[3:], moments(drawn), rtol=1e-4, atol=1e-6)
    hidden = keras.Model(model.inputs, model.get_layer("first").output).predict(X, verbose=0)
    p = 1 / (1 + np.exp(-(hidden @ w2 + b2)))
    np.testing.assert_allclose(first[3:], moments((drawn * p * (1 - p)) @ w2.T), rtol=1e-4, atol=1e-6)


def test_a_sigmoids_gradient_falls_by_a_quarter_a_layer():
    # Xavier's weights keep a gradient level, and a sigmoid's derivative is at most 0.25: 0.25^r after r layers.
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(200, "sigmoid", kernel_initializer="glorot_normal") for _ in range(8)]
    model = keras.Sequential([keras.Input((200,)), *layers])
    signals = signal_propagation(model, np.random.default_rng(0).normal(size=(100, 200)).astype(np.float32))
    deviations = np.array([signal.gradient_standard_deviation for signal in signals])
    np.testing.assert_allclose(deviations[:-1] / deviations[1:], 0.25, rtol=0.12)
    assert (deviations[:-1] < 0.25 * deviations[1:]).all()


def test_nothing_of_the_model_changes():
    model = topologies.residual(depth=8, width=4, dropout=0.2, input_shape=(8, 8, 3), classes=3, seed=0)
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype(np.float32)
    names = [layer.name for layer in model.layers]
    before = [weight.copy() for weight in model.get_weights()]
    signals = signal_propagation(model, images, np.zeros(8, int), keras.losses.SparseCategoricalCrossentropy())
    for one, other in zip(before, model.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()
    assert [layer.name for layer in model.layers] == names
    found = [signal.layer for signal in signals]
    assert sorted(found) == sorted(name for name in names if name != "image")
    assert (found[0], found[-2:]) == ("stem_convolution1", ["head", "probabilities"])
    assert model.get_layer("head").output.shape == (None, 3)  # Its layers are called nowhere else.
    # Behind a batch normalization in training mode: mean 0, deviation 1.
    norm = next(signal for signal in signals if signal.layer == "stem_normalization1")
    np.testing.assert_allclose(norm[1:3], (0.0, 1.0), atol=1e-3)
    evaluated = signal_propagation(model, images, training=False)
    assert next(s for s in evaluated if s.layer == "stem_normalization1").activation_standard_deviation != norm[2]


def test_a_layer_that_is_called_twice_is_told_apart_and_inputs_may_be_named():
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((4,), name="b")}
    shared = keras.layers.Dense(4, name="shared")
    outputs = keras.layers.Add(name="sum")([shared(inputs["a"]), shared(inputs["b"])])
    model = keras.Model(inputs, outputs)
    arrays = {key: np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32) for key in inputs}
    names = [signal.layer for signal in signal_propagation(model, arrays)]
    assert names == ["shared", "shared#2", "sum"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: signal_propagation(keras.Sequential([keras.layers.Dense(2)]), X), "must be a built Sequential"),
        (lambda: signal_propagation("model", X), "must be a built Sequential"),
        (lambda: signal_propagation(dense_network(), X, loss="mse"), "`loss` and `y` must be given together"),
        (lambda: signal_propagation(dense_network(), X, y=X), "`loss` and `y` must be given together"),
        (lambda: signal_propagation(two_outputs(), X), "must have one output. `two` has 2"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def two_outputs():
    inputs = keras.Input((6,))
    return keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)], name="two")
