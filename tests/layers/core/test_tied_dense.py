"""A dense layer that is used in both directions: against NumPy and an untied pair, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import JITS, array, differentiated, reloaded

from kerastrain._core.errors import InputError
from kerastrain.layers import TiedDense

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
CODES = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)


def randomized(layer, width=5):
    layer.build((None, width))
    generator = np.random.default_rng(4)
    layer.set_weights([generator.normal(size=variable.shape) for variable in layer.weights])
    return [np.float64(weight) for weight in layer.get_weights()]


def test_forward_and_transposed_are_the_formulas():
    layer = TiedDense(3, activation="tanh", transpose_activation="sigmoid")
    kernel, bias, transpose_bias = randomized(layer)
    np.testing.assert_allclose(array(layer(X)), np.tanh(X @ kernel + bias), rtol=1e-5, atol=1e-6)
    backward = 1 / (1 + np.exp(-(CODES @ kernel.T + transpose_bias)))
    np.testing.assert_allclose(array(layer(CODES, transpose=True)), backward, rtol=1e-5, atol=1e-6)
    assert [variable.name for variable in layer.weights] == ["kernel", "bias", "transpose_bias"]


def test_without_biases_and_activations():
    layer = TiedDense(3, use_bias=False)
    (kernel,) = randomized(layer)
    np.testing.assert_allclose(array(layer(X)), X @ kernel, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(array(layer(CODES, transpose=True)), CODES @ kernel.T, rtol=1e-5, atol=1e-6)
    assert layer.bias is None and layer.transpose_bias is None


def test_biases_start_at_zeros_as_in_keras():
    layer = TiedDense(3, kernel_initializer="ones")
    layer.build((None, 5))
    assert [array(weight).tolist() for weight in layer.weights] == [[[1.0] * 3] * 5, [0.0] * 3, [0.0] * 5]
    assert float(array(layer(np.zeros((1, 5), np.float32))).sum()) == 0.0


def test_it_equals_keras_dense():
    layer, peer = TiedDense(3, activation="gelu"), keras.layers.Dense(3, activation="gelu")
    kernel, bias, _ = randomized(layer)
    peer.build((None, 5))
    peer.set_weights([kernel, bias])
    np.testing.assert_allclose(array(layer(X)), array(peer(X)), rtol=1e-5, atol=1e-6)


def test_leading_axes_are_kept():
    layer = TiedDense(3)
    kernel, bias, transpose_bias = randomized(layer)
    x = np.random.default_rng(2).normal(size=(2, 4, 7, 5)).astype(np.float32)
    codes = layer(x)
    np.testing.assert_allclose(array(codes), x @ kernel + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        array(layer(codes, transpose=True)), (x @ kernel + bias) @ kernel.T + transpose_bias, rtol=1e-4, atol=1e-4
    )
    symbolic = layer(keras.KerasTensor((None, None, 5)))
    assert symbolic.shape == (None, None, 3)
    assert layer(symbolic, transpose=True).shape == (None, None, 5)


def autoencoder(**arguments):
    keras.utils.set_random_seed(0)
    tied = TiedDense(3, activation="tanh", name="tied", **arguments)
    inputs = keras.Input((5,))
    return keras.Model(inputs, tied(tied(inputs), transpose=True))


def test_the_gradient_of_the_kernel_is_the_sum_over_two_untied_copies():
    tied = TiedDense(3, activation="tanh")
    kernel, bias, transpose_bias = randomized(tied)
    forward, backward = keras.layers.Dense(3, activation="tanh"), keras.layers.Dense(5)
    forward.build((None, 5))
    backward.build((None, 3))
    forward.set_weights([kernel, bias])
    backward.set_weights([kernel.T, transpose_bias])

    def loss(x, encode, decode):
        return keras.ops.square(decode(encode(x)) - x)

    outputs, _, found = differentiated(
        lambda x: loss(x, tied, lambda codes: tied(codes, transpose=True)), [X], tied.trainable_variables
    )
    peers = [forward.kernel, forward.bias, backward.kernel, backward.bias]
    wanted_outputs, _, untied = differentiated(lambda x: loss(x, forward, backward), [X], peers)
    np.testing.assert_allclose(outputs, wanted_outputs, rtol=1e-4, atol=1e-5)
    assert min(np.abs(gradient).max() for gradient in untied) > 0.1
    wanted = [untied[0] + untied[2].T, untied[1], untied[3]]
    for left, right in zip(found, wanted, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)


def test_the_regularizer_counts_once():
    model = autoencoder(kernel_regularizer=keras.regularizers.L2(0.1))
    kernel = np.float64(model.get_layer("tied").get_weights()[0])
    model(X)
    assert len(model.losses) == 1
    assert float(array(model.losses[0])) == pytest.approx(0.1 * np.sum(kernel**2), rel=1e-5)


@pytest.mark.parametrize("jit_compile", JITS[-1:])
def test_an_autoencoder_learns_and_stays_tied_in_its_file(jit_compile, tmp_path):
    # Data of rank 3 through a code of 3: a linear autoencoder can be exact.
    generator = np.random.default_rng(0)
    x = (generator.normal(size=(64, 3)) @ generator.normal(size=(3, 5))).astype(np.float32)
    keras.utils.set_random_seed(0)
    tied = TiedDense(3, name="tied", kernel_initializer="orthogonal", kernel_regularizer="l1")
    inputs = keras.Input((5,))
    model = keras.Model(inputs, tied(tied(inputs), transpose=True))
    tied.kernel_regularizer.l1 = 0.0
    model.compile(keras.optimizers.Adam(0.03), "mse", jit_compile=jit_compile)
    losses = model.fit(x, x, epochs=6, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    loaded = reloaded(model, tmp_path)
    assert [tuple(weight.shape) for weight in loaded.weights] == [(5, 3), (3,), (5,)]
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    # Still one kernel: both directions follow it.
    layer = loaded.get_layer("tied")
    layer.kernel.assign(np.ones((5, 3)))
    _, bias, transpose_bias = (np.float64(weight) for weight in layer.get_weights())
    wanted = (np.float64(x) @ np.ones((5, 3)) + bias) @ np.ones((3, 5)) + transpose_bias
    np.testing.assert_allclose(loaded.predict(x, verbose=0), wanted, rtol=1e-4, atol=1e-4)


def test_the_config_has_every_argument():
    layer = TiedDense(
        3,
        activation="relu",
        transpose_activation="sigmoid",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L1(0.5),
        name="own",
    )
    again = TiedDense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.units, again.use_bias, again.name) == (3, False, "own")
    assert (again.activation.__name__, again.transpose_activation.__name__) == ("relu", "sigmoid")
    assert type(again.kernel_initializer).__name__ == "HeNormal"
    assert float(again.kernel_regularizer.l1) == 0.5


def test_half_precision():
    layer = TiedDense(3, dtype="mixed_float16")
    kernel, bias, _ = randomized(layer)
    outputs = layer(X)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    assert {keras.backend.standardize_dtype(variable.dtype) for variable in layer.weights} == {"float32"}
    np.testing.assert_allclose(array(outputs), X @ kernel + bias, rtol=0.02, atol=0.02)
    assert layer(keras.KerasTensor((None, 5))).dtype == "float16"


def test_a_mask_is_passed_on():
    inputs = keras.Input((4, 5))
    tied = TiedDense(3)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(tied(keras.layers.Masking()(inputs))))
    x = np.random.default_rng(2).normal(size=(2, 4, 5)).astype(np.float32)
    x[:, 2:] = 0.0
    kernel = np.float64(tied.get_weights()[0])
    np.testing.assert_allclose(model.predict(x, verbose=0), (x[:, :2] @ kernel).mean(axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("units", [0, -1, 2.0, True, None, "3"], ids=repr)
def test_units_out_of_range_are_refused(units):
    with pytest.raises(InputError) as error:
        TiedDense(units)
    assert str(error.value) == f"`units` must be a whole number >= 1. Received: units={units!r}."


def test_other_arguments_are_refused():
    with pytest.raises(InputError, match="`use_bias` must be True or False"):
        TiedDense(3, use_bias=1)
    with pytest.raises(ValueError, match="nonesuch"):
        TiedDense(3, activation="nonesuch")
    with pytest.raises(ValueError, match="nonesuch"):
        TiedDense(3, transpose_activation="nonesuch")


def test_inputs_of_another_width_are_refused():
    layer = TiedDense(3)
    layer(X)
    needed = {False: "5, the features of the first call", True: "3, the units"}
    for transpose, wrong in ((False, CODES), (True, X)):
        for inputs in (wrong, keras.KerasTensor((None, wrong.shape[1]))):
            with pytest.raises(InputError) as error:
                layer(inputs, transpose=transpose)
            assert (
                f"`inputs` must have a last axis of {needed[transpose]}, when transpose={transpose}. "
                f"Received: shape {tuple(inputs.shape)}."
            ) in str(error.value)
    with pytest.raises(InputError, match="must have a last axis of 3, the units, when transpose=True"):
        TiedDense(3)(X, transpose=True)
