"""Dropped weights in models: fits, steps, files, regularizers and masks; on every backend."""

import keras
import numpy as np
import pytest
from drop_connect_layers import FAR_FROM_ZERO, RATE, each_layer, trained, units, weights
from layer_probes import BACKEND, JITS, array, four_sigma, reloaded, watched_again, watched_fit

from kerastrain.layers import DropConnect

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("jit", JITS)
def test_every_step_of_a_fit_draws_anew_and_the_same_from_the_same_seed(jit):
    layer = DropConnect(keras.layers.Dense(30, use_bias=False, kernel_initializer=FAR_FROM_ZERO), RATE, seed=9)
    outputs, traces, model = watched_fit(layer, units(40), steps=3, jit=jit, watched_shape=(40, 30))
    masks = [output != 0 for output in outputs]
    again = [output != 0 for output in watched_again(model, layer, units(40), steps=3)]
    np.testing.assert_array_equal(masks, again)
    assert (masks[0] != masks[1]).any() and (masks[1] != masks[2]).any()
    for mask in masks:
        assert abs((~mask).mean() - RATE) < four_sigma(mask.size, RATE)
    if BACKEND == "tensorflow" or jit:
        assert traces[0] == traces[-1]
    kernel = model.layers[0].get_weights()[0]
    weight, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(
        model.predict(units(40), batch_size=40, verbose=0), kernel @ weight + bias, rtol=1e-4, atol=1e-5
    )
    if BACKEND != "tensorflow" or not jit:  # TensorFlow's XLA draws from another stream.
        eager = DropConnect(keras.layers.Dense(30, use_bias=False, kernel_initializer="ones"), RATE, seed=9)
        for mask in masks:
            np.testing.assert_array_equal(mask, trained(eager, units(40)) != 0)


@pytest.mark.parametrize("jit", JITS)
@each_layer
def test_a_step_moves_the_kept_weights_and_the_bias(make, jit):
    inner, inputs, _ = make()
    model = keras.Sequential([keras.Input(inputs.shape[1:]), DropConnect(inner, RATE, seed=10)])
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=lambda y, outputs: keras.ops.mean(outputs), jit_compile=jit)
    before, bias_before = array(inner.kernel), array(inner.bias)
    model.train_on_batch(inputs, np.zeros((len(inputs), 1)))
    after, bias_after = array(inner.kernel), array(inner.bias)
    # The loss is linear: every kept weight moves by the same, a dropped one stays.
    moved = before != after
    step = (before - after)[moved]
    assert abs((~moved).mean() - RATE) < four_sigma(moved.size, RATE)
    size = array(model(inputs)).size
    np.testing.assert_allclose(step, 1 / (1 - RATE) / size, rtol=2e-2)
    np.testing.assert_allclose(bias_before - bias_after, np.full(bias_before.shape, 1 / bias_before.size), rtol=1e-3)


@each_layer
def test_a_model_of_it_survives_a_file(make, tmp_path):
    inner, inputs, _ = make()
    model = keras.Sequential([keras.Input(inputs.shape[1:]), DropConnect(inner, RATE, seed=11, name="drop")])
    shift = np.random.default_rng(4)
    model.set_weights([weight + shift.normal(size=weight.shape) for weight in model.get_weights()])
    values = shift.normal(size=inputs.shape).astype(np.float32)
    loaded = reloaded(model, tmp_path)
    layer = loaded.get_layer("drop")
    assert type(layer) is DropConnect and type(layer.layer) is type(inner)
    assert (layer.rate, layer.seed) == (RATE, 11)
    np.testing.assert_array_equal(array(loaded(values)), array(inner(values)))
    np.testing.assert_allclose(trained(loaded, values), trained(model, values), rtol=1e-5, atol=1e-5)


def test_a_regularizer_of_the_outputs_counts_in_training():
    inner = keras.layers.Dense(3, activity_regularizer=keras.regularizers.L2(0.5))
    model = keras.Sequential([keras.Input((4,)), DropConnect(inner, RATE, seed=13)])
    outputs = trained(model, np.ones((2, 4), np.float32))
    [loss] = model.losses
    # Keras takes the mean over the batch.
    np.testing.assert_allclose(array(loss), 0.5 * np.square(np.float64(outputs)).sum() / 2, rtol=1e-5)
    # In a compiled step as well, where it is the whole loss here.
    model.compile(optimizer="sgd", loss=lambda y, outputs: 0.0 * keras.ops.sum(outputs), jit_compile=BACKEND == "jax")
    model.layers[0].rate = 1e-9  # The mask is known: nothing is dropped.
    kernel, bias = weights(model.layers[0])
    values = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    expected = 0.5 * np.square(np.float64(values) @ kernel + bias).sum() / 6
    np.testing.assert_allclose(model.train_on_batch(values, np.zeros((6, 1))), expected, rtol=1e-4)


def test_a_regularizer_of_the_kernel_counts_once_and_for_all_weights():
    inner = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.5))
    model = keras.Sequential([keras.Input((4,)), DropConnect(inner, 0.5, seed=14)])
    trained(model, np.ones((2, 4), np.float32))
    [loss] = model.losses
    np.testing.assert_allclose(
        array(loss), 0.5 * (weights(model.layers[0])[0].astype(np.float64) ** 2).sum(), rtol=1e-5
    )


@pytest.mark.filterwarnings("error:Layer .* was passed an input with a mask")
def test_it_passes_a_mask_on():
    inputs = keras.Input((4,), dtype="int32")
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.LSTM(2)(DropConnect(keras.layers.Dense(3), 0.5)(embedded)))
    short, padded = np.array([[1, 2]]), np.array([[1, 2, 0, 0]])
    lstm, dropped = model.layers[-1], keras.Sequential(model.layers[1:3])
    np.testing.assert_allclose(array(model(padded)), array(lstm(dropped(short))), rtol=1e-5, atol=1e-6)
