"""Unit variance, layer by layer: measured by NumPy on other models of the same layers, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import array, reloaded

from kerastrain._core.errors import InputError
from kerastrain.initializers import LSUV

pytestmark = pytest.mark.backend

X = (7.0 * np.random.default_rng(0).normal(size=(300, 20)) + 1.0).astype(np.float32)
IMAGES = np.random.default_rng(0).normal(3.0, 5.0, size=(40, 8, 8, 3)).astype(np.float32)


def lsuv(seed, **arguments):
    return LSUV(seed=seed, **arguments)


def dense(units, activation=None, seed=0, **arguments):
    return keras.layers.Dense(units, activation, kernel_initializer=lsuv(seed), **arguments)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "gelu"])
def test_a_stack_of_dense_layers(activation):
    layers = [dense(30, activation, seed, name=f"d{seed}") for seed in range(4)]
    model = keras.Sequential([keras.Input((20,)), *layers])
    before = np.var(np.float64(X) @ model.get_weights()[0])
    assert abs(before - 1) > 0.5, "or this test shows nothing"
    LSUV().adapt(model, X)
    hidden = np.float64(X)
    functions = {
        "tanh": np.tanh,
        "relu": lambda z: np.maximum(z, 0),
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "gelu": lambda z: array(keras.activations.gelu(z.astype(np.float32))),
    }
    for layer in layers:
        outputs = hidden @ np.float64(layer.get_weights()[0])
        assert np.var(outputs) == pytest.approx(1.0, abs=0.011)
        assert layer.activation is keras.activations.get(activation)
        hidden = functions[activation](outputs)


def test_convolutions_with_batch_normalization():
    convolutions = [
        keras.layers.Conv2D(6, 3, padding="same", use_bias=False, kernel_initializer=lsuv(seed)) for seed in range(3)
    ]
    norms = [keras.layers.BatchNormalization() for _ in range(3)]
    layers = [part for pair in zip(convolutions, norms, strict=True) for part in (*pair, keras.layers.ReLU())]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Flatten(), keras.layers.Dense(2)])
    others = [array(weight) for norm in norms for weight in norm.weights] + [array(model.layers[-1].kernel)]
    LSUV().adapt(model, IMAGES)
    for layer in convolutions:
        outputs = keras.Model(model.inputs, layer.output).predict(IMAGES, verbose=0)
        assert np.var(np.float64(outputs)) == pytest.approx(1.0, abs=0.011)
    after = [array(weight) for norm in norms for weight in norm.weights] + [array(model.layers[-1].kernel)]
    for left, right in zip(others, after, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_residual_sum_is_scaled_in_the_order_of_the_graph():
    # Made in another order than they are used in, and one branch is longer.
    last, first, middle = dense(20, seed=1, name="last"), dense(20, "relu", 2, name="first"), dense(20, "tanh", 3)
    inputs = keras.Input((20,))
    start = first(inputs)
    total = keras.layers.Add()([start, keras.layers.Rescaling(5.0)(middle(start)), inputs])
    model = keras.Model(inputs, last(total))
    LSUV().adapt(model, X)
    weights = {layer.name: np.float64(layer.get_weights()[0]) for layer in (first, middle, last)}
    z = np.float64(X) @ weights["first"]
    a = np.maximum(z, 0)
    inner = a @ weights[middle.name]
    outputs = (a + 5 * np.tanh(inner) + X) @ weights["last"]
    for values in (z, inner, outputs):
        assert np.var(values) == pytest.approx(1.0, abs=0.011)


def test_only_the_size_of_orthogonal_weights_changes():
    layer = dense(12)
    model = keras.Sequential([keras.Input((20,)), layer])
    before = np.float64(layer.get_weights()[0])
    np.testing.assert_allclose(before.T @ before, np.eye(12), atol=1e-5)
    peer = keras.initializers.Orthogonal(seed=0)((20, 12))
    np.testing.assert_allclose(before, array(peer), atol=1e-6)
    LSUV().adapt(model, X)
    after = np.float64(layer.get_weights()[0])
    scale = np.linalg.norm(after) / np.linalg.norm(before)
    np.testing.assert_allclose(after, scale * before, rtol=1e-5, atol=1e-6)
    # Of a linear layer the first scaling is right already.
    assert scale == pytest.approx(1 / np.sqrt(np.var(np.float64(X) @ before)), rel=1e-4)


def test_other_layers_and_biases_are_not_touched():
    plain = [
        keras.layers.Dense(20, "relu", bias_initializer="ones", kernel_initializer=k) for k in ("ones", "orthogonal")
    ]
    marked = dense(5, "tanh", bias_initializer=keras.initializers.Constant(0.5))
    model = keras.Sequential([keras.Input((20,)), plain[0], marked, plain[1]])
    before = [array(weight) for layer in (*plain, marked) for weight in layer.weights]
    LSUV().adapt(model, X)
    after = [array(weight) for layer in (*plain, marked) for weight in layer.weights]
    same = [bool((left == right).all()) for left, right in zip(before, after, strict=True)]
    assert same == [True, True, True, True, False, True]


def test_inputs_by_name():
    inputs = {"a": keras.Input((20,), name="a"), "b": keras.Input((20,), name="b")}
    layer = dense(10, "relu")
    model = keras.Model(inputs, layer(keras.layers.Subtract()([inputs["a"], inputs["b"]])))
    LSUV().adapt(model, {"a": X, "b": 3 * X})
    assert np.var(-2 * np.float64(X) @ np.float64(layer.get_weights()[0])) == pytest.approx(1.0, abs=0.011)


def test_dropout_is_off():
    layer = dense(10)
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dropout(0.9), layer])
    LSUV().adapt(model, X)
    assert np.var(np.float64(X) @ np.float64(layer.get_weights()[0])) == pytest.approx(1.0, abs=0.011)


def test_the_tolerance_is_kept_to():
    # A bias that differs from unit to unit adds to the variance, so that one scaling is not enough.
    layer = dense(20, bias_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=1))
    model = keras.Sequential([keras.Input((20,)), layer])
    kernel, bias = (np.float64(weight) for weight in layer.get_weights())
    with pytest.raises(InputError, match=r"after 1 scalings, and not 1 \+- 0\.0001"):
        LSUV(tolerance=1e-4, max_iterations=1).adapt(model, X)
    # By the algorithm: one scaling by the deviation, measured with the bias.
    first = kernel / np.std(np.float64(X) @ kernel + bias)
    np.testing.assert_allclose(layer.get_weights()[0], first, rtol=1e-4, atol=1e-6)
    LSUV(tolerance=1e-4, max_iterations=50).adapt(model, X)
    kernel, bias = (np.float64(weight) for weight in layer.get_weights())
    assert np.var(np.float64(X) @ kernel + bias) == pytest.approx(1.0, abs=1.1e-4)
    # Near enough from the start: nothing is done.
    LSUV(tolerance=0.5).adapt(model, 1.1 * X)
    np.testing.assert_array_equal(layer.get_weights()[0], kernel.astype(np.float32))


def test_a_bias_that_no_scaling_makes_up_for_is_told():
    layer = dense(20, "relu", bias_initializer=keras.initializers.RandomNormal(stddev=3.0, seed=1), name="own")
    model = keras.Sequential([keras.Input((20,)), layer])
    with pytest.raises(InputError) as error:
        LSUV().adapt(model, X)
    message = str(error.value)
    assert message.startswith("The outputs of `own` have the variance ")
    assert "after 10 scalings, and not 1 +- 0.01. Start its bias at zeros" in message
    assert layer.activation is keras.activations.relu


def test_outputs_that_do_not_vary_are_told_and_the_activation_is_back():
    model = keras.Sequential([keras.Input((20,)), dense(10, "tanh", name="own")])
    for x, variance in ((0 * X, "0.0"), (np.nan * X, "nan")):
        with pytest.raises(InputError) as error:
            LSUV().adapt(model, x)
        assert str(error.value) == (
            f"The outputs of `own` have the variance {variance} on `x`, which no scale makes 1."
        )
        assert model.layers[-1].activation is keras.activations.tanh


def inner_model():
    return keras.Sequential([keras.Input((20,)), dense(20, name="inside")], name="nested")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "model", "`model` must be a built Sequential or functional model. Received: 'model'."),
        (
            lambda: keras.Sequential([dense(3)]),
            "`model` must be a built Sequential or functional model. Received: <Seq",
        ),
        (lambda: keras.layers.Dense(3), "`model` must be a built Sequential or functional model. Received: <Dense"),
        (
            lambda: keras.Sequential(
                [keras.Input((20,)), keras.layers.Dense(3, kernel_initializer="orthogonal")], name="m"
            ),
            "No layer of `m` has an LSUV initializer. Give it to the layers that are to be scaled: ",
        ),
        (
            lambda: keras.Sequential([keras.Input((20,)), dense(20), inner_model()], name="m"),
            "`inside` cannot be scaled: it must be a layer of `m` itself, not of one inside it, with a kernel and an ",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((4, 5)), keras.layers.LSTM(3, kernel_initializer=LSUV(), name="memory")], name="m"
            ),
            "`memory` cannot be scaled: it must be a layer of `m` itself, not of one inside it, with a kernel and an ",
        ),
    ],
    ids=["text", "not built", "layer", "none marked", "nested", "recurrent"],
)
def test_what_cannot_be_scaled_is_refused(make, message):
    model = make()
    before = [array(weight) for weight in getattr(model, "weights", [])]
    with pytest.raises(InputError) as error:
        LSUV().adapt(model, X)
    assert str(error.value).startswith(message)
    for left, right in zip(before, getattr(model, "weights", []), strict=True):
        np.testing.assert_array_equal(left, array(right))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = dense(3)

    def call(self, inputs):
        return self.dense(inputs)


def test_a_model_without_a_graph_is_refused():
    model = Subclassed()
    model(X)
    with pytest.raises(InputError, match="must be a built Sequential or functional model"):
        LSUV().adapt(model, X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": 0}, "`tolerance` must be a number > 0. Received: tolerance=0."),
        ({"tolerance": float("nan")}, "`tolerance` must be a number > 0. Received: tolerance=nan."),
        ({"max_iterations": 0}, "`max_iterations` must be a whole number >= 1. Received: max_iterations=0."),
        ({"max_iterations": 2.5}, "`max_iterations` must be a whole number >= 1. Received: max_iterations=2.5."),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        LSUV(**arguments)
    assert str(error.value) == message
    with pytest.raises(ValueError, match="`seed` argument"):
        LSUV(seed="1")


def test_it_is_saved_with_a_model(tmp_path):
    layer = keras.layers.Dense(5, kernel_initializer=LSUV(tolerance=0.05, max_iterations=3, seed=2))
    model = keras.Sequential([keras.Input((20,)), layer])
    LSUV(tolerance=0.05).adapt(model, X)
    loaded = reloaded(model, tmp_path)
    found = loaded.layers[0].kernel_initializer
    assert type(found) is LSUV and (found.tolerance, found.max_iterations) == (0.05, 3)
    assert found.get_config() == layer.kernel_initializer.get_config()
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    np.testing.assert_array_equal(array(found((20, 5))), array(keras.initializers.Orthogonal(seed=2)((20, 5))))
