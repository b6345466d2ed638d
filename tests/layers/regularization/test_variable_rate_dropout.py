"""Dropout with a movable rate: moving it, keeping it in files; test_dropout_family.py has the rest."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, four_sigma, reloaded, watched_fit

from kerastrain._core.errors import InputError
from kerastrain.layers import VariableRateDropout

pytestmark = pytest.mark.backend

VALUES = np.random.default_rng(0).normal(size=(40, 500)).astype(np.float32)


def trained(layer, values=VALUES):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


def assert_drops(found, rate, values=VALUES):
    """Every value is 0 or `x / (1 - rate)`, and the rate is right within 4 sigma."""
    dropped = found == 0
    assert abs(dropped.mean() - rate) <= four_sigma(values.size, rate)
    np.testing.assert_allclose(found[~dropped], (values / (1 - rate))[~dropped], rtol=1e-5)


def test_the_rate_is_set_and_read():
    layer = VariableRateDropout(0.5, seed=4)
    assert layer.rate == 0.5
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 1
    for rate in (0.9, 0.0, np.float32(0.25), 0):
        layer.rate = rate
        assert layer.rate == np.float32(rate)
        assert_drops(trained(layer), float(rate))


@pytest.mark.parametrize("jit", JITS)
def test_a_rate_set_during_a_compiled_fit_takes_effect_without_a_new_trace(jit):
    rates = [0.1, 0.8, 0.0, 0.5]
    layer = VariableRateDropout(0.3, seed=5)

    def move(step):
        layer.rate = rates[step]

    outputs, traces, model = watched_fit(layer, VALUES, steps=4, jit=jit, before=move)
    for output, rate in zip(outputs, rates, strict=True):
        assert_drops(output, rate)
    if BACKEND != "torch" and not (BACKEND == "jax" and not jit):  # Those call Python in every step.
        assert traces == traces[:1] * 4
        # The count does tell: what is part of the step needs a new one.
        model.compile(optimizer="sgd", loss="mse", jit_compile=jit)
        model.fit(VALUES, np.ones((len(VALUES), 1)), batch_size=len(VALUES), verbose=0)
        assert model.get_layer("watch").traces > traces[-1]
    assert layer.rate == 0.5


def test_a_callback_moves_the_rate_between_two_batches():
    class Move(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_train_batch_end(self, batch, logs=None):
            layer = self.model.get_layer("drop")
            self.seen.append(layer.rate)
            layer.rate = (batch + 1) / 10

    model = keras.Sequential([keras.Input((3,)), VariableRateDropout(0.9, name="drop"), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", jit_compile=BACKEND == "jax")
    move = Move()
    model.fit(np.ones((8, 3)), np.ones((8, 1)), batch_size=2, verbose=0, callbacks=[move])
    np.testing.assert_allclose(move.seen, [0.9, 0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(model.get_layer("drop").rate, 0.4, rtol=1e-6)


def test_a_file_keeps_the_present_rate(tmp_path):
    model = keras.Sequential([keras.Input((500,)), VariableRateDropout(0.5, seed=9, name="drop")])
    model.get_layer("drop").rate = 0.2
    layer = reloaded(model, tmp_path).get_layer("drop")
    assert layer.rate == np.float32(0.2) and layer.initial_rate == 0.5 and layer.seed == 9
    assert_drops(trained(layer), 0.2)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = keras.Sequential([keras.Input((500,)), VariableRateDropout(0.7, name="drop")])
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert fresh.get_layer("drop").rate == np.float32(0.2)


def test_weights_carry_the_rate_and_a_config_the_initial_one():
    layer = VariableRateDropout(0.5)
    [weight] = layer.get_weights()
    assert weight.shape == () and weight == 0.5
    layer.set_weights([np.float32(0.125)])
    assert layer.rate == 0.125
    assert VariableRateDropout.from_config(layer.get_config()).rate == 0.5
    model = keras.Sequential([keras.Input((500,)), layer])
    assert keras.models.clone_model(model).layers[0].rate == 0.5


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = VariableRateDropout(0.5, seed=0, dtype=policy)
    layer.rate = 0.01
    assert layer.rate == np.float32(0.01) and layer.dropout_rate.dtype == "float32"
    values = keras.ops.ones((400, 500))
    for training in (False, True):
        found = layer(values, training=training)
        assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    found = array(found)
    assert abs((found == 0).mean() - 0.01) < four_sigma(found.size, 0.01)
    np.testing.assert_allclose(found[found != 0], 1 / 0.99, rtol=1e-2)


# The last one is below 1 and would be 1 as a float32.
@pytest.mark.parametrize("rate", [1, -0.1, 2, "half", None, True, float("nan"), 1 - 1e-9])
def test_a_bad_rate_is_refused_and_changes_nothing(rate):
    message = f"`rate` must be a number >= 0 and < 1. Received: rate={rate!r}."
    with pytest.raises(InputError) as error:
        VariableRateDropout(rate)
    assert str(error.value) == message
    layer = VariableRateDropout(0.25)
    with pytest.raises(InputError) as error:
        layer.rate = rate
    assert str(error.value) == message
    assert layer.rate == 0.25
