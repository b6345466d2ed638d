"""Residual branches left out at random, against the binomial distribution and the paper, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, differentiated, four_sigma, reloaded, watched_again, watched_fit

from kerastrain._core.errors import InputError
from kerastrain.layers import StochasticDepth

pytestmark = pytest.mark.backend

SAMPLES = 4000
VALUES = np.random.default_rng(0).normal(size=(SAMPLES, 2, 2, 3)).astype(np.float32)


def trained(layer, values=VALUES):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


def assert_drops(found, rate, values=VALUES):
    """Each sample is 0 or `x / (1 - rate)` as a whole, and the rate is right within 4 sigma."""
    rows, given = found.reshape(len(values), -1), values.reshape(len(values), -1)
    dropped = (rows == 0).all(axis=1)
    np.testing.assert_allclose(rows[~dropped], given[~dropped] / (1 - rate), rtol=1e-5)
    assert abs(dropped.mean() - rate) <= four_sigma(len(values), rate)


@pytest.mark.parametrize("rate", [0, 0.1, 0.5, 0.9])
def test_a_sample_is_dropped_as_a_whole_or_scaled(rate):
    layer = StochasticDepth(rate, seed=1)
    assert_drops(trained(layer), rate)
    for options in ({}, {"training": False}):
        np.testing.assert_array_equal(array(layer(VALUES, **options)), VALUES)


@pytest.mark.parametrize("shape", [(SAMPLES,), (SAMPLES, 3), (SAMPLES, 2, 3), (SAMPLES, 1, 2, 2, 3)], ids=str)
def test_any_rank(shape):
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    assert_drops(trained(StochasticDepth(0.3, seed=2), values), 0.3, values)


def test_the_mean_is_kept():
    ones = np.ones((SAMPLES, 2), np.float32)
    found = trained(StochasticDepth(0.2, seed=3), ones)[:, 0].mean(dtype=np.float64)
    assert abs(found - 1) < four_sigma(SAMPLES, 0.2) / 0.8


def test_the_gradient_is_the_factor_of_the_sample():
    layer = StochasticDepth(0.25, seed=4)
    found, [gradient], _ = differentiated(lambda x: layer(x, training=True), [VALUES])
    np.testing.assert_allclose(gradient, (found != 0) / 0.75, rtol=1e-6)


def test_a_residual_block_of_a_dropped_sample_is_its_shortcut():
    inputs = keras.Input((3,))
    branch = keras.layers.Dense(3, name="branch")(inputs)
    model = keras.Model(inputs, keras.layers.Add()([StochasticDepth(0.5, seed=5)(branch), inputs]))
    values = np.random.default_rng(2).normal(size=(400, 3)).astype(np.float32)
    kernel, bias = model.get_layer("branch").get_weights()
    found = array(model(values, training=True))
    skipped = np.isclose(found, values, atol=1e-6).all(axis=1)
    assert abs(skipped.mean() - 0.5) < four_sigma(400, 0.5)
    expected = values + 2 * (values @ kernel + bias)
    np.testing.assert_allclose(found[~skipped], expected[~skipped], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(array(model(values)), values + values @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_the_linear_rule_is_that_of_the_paper():
    # Figure 2: 1 - l / L (1 - p_L), with L = 54 blocks (a ResNet of 110 layers) and p_L = 0.5; section 3: the expected
    # number of blocks is (3 L - 1) / 4 = 40.25.
    survival = [1 - StochasticDepth.linear_rate(block, blocks=54, last_rate=0.5) for block in range(1, 55)]
    np.testing.assert_allclose(survival, [1 - block / 54 * (1 - 0.5) for block in range(1, 55)], rtol=1e-12)
    assert abs(sum(survival) - 40.25) < 1e-9
    assert survival[-1] == 0.5
    assert StochasticDepth.linear_rate(1, 1, 0) == 0.0


def test_the_same_seed_draws_the_same_in_a_fresh_layer():
    first, second = StochasticDepth(0.5, seed=6), StochasticDepth(0.5, seed=6)
    draws = [trained(first) for _ in range(3)]
    for draw in draws:
        np.testing.assert_array_equal(draw, trained(second))
    assert (draws[0] != draws[1]).any() and (draws[1] != draws[2]).any()
    assert (trained(StochasticDepth(0.5, seed=7)) != draws[0]).any()
    assert (trained(StochasticDepth(0.5)) != trained(StochasticDepth(0.5))).any()


@pytest.mark.parametrize("jit", JITS)
def test_every_step_of_a_fit_draws_anew_and_the_same_from_the_same_seed(jit):
    layer = StochasticDepth(0.4, seed=8)
    outputs, _, model = watched_fit(layer, VALUES, steps=3, jit=jit)
    np.testing.assert_array_equal(outputs, watched_again(model, layer, VALUES, steps=3))
    for output in outputs:
        assert_drops(output, 0.4)
    assert (outputs[0] != outputs[1]).any() and (outputs[1] != outputs[2]).any()
    kernel, bias = model.layers[-1].get_weights()
    expected = VALUES.reshape(SAMPLES, -1) @ kernel + bias
    np.testing.assert_allclose(model.predict(VALUES, batch_size=SAMPLES, verbose=0), expected, rtol=1e-4, atol=1e-4)
    if BACKEND != "tensorflow" or not jit:  # TensorFlow's XLA draws from another stream.
        eager = StochasticDepth(0.4, seed=8)
        for output in outputs:
            np.testing.assert_allclose(output, trained(eager), rtol=1e-6)


def test_a_model_of_it_trains_on_batches_of_any_size():
    inputs = keras.Input((3,))
    branch = StochasticDepth(0.5)(keras.layers.Dense(3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Add()([branch, inputs])))
    model.compile(optimizer="sgd", loss="mse", jit_compile=BACKEND == "jax")
    before = model.get_weights()
    history = model.fit(np.ones((7, 3)), np.ones((7, 1)), batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


def test_a_model_of_it_survives_a_file(tmp_path):
    loaded = reloaded(keras.Sequential([keras.Input((2, 2, 3)), StochasticDepth(0.3, seed=9, name="drop")]), tmp_path)
    layer = loaded.get_layer("drop")
    assert (layer.rate, layer.seed) == (0.3, 9)
    np.testing.assert_array_equal(array(loaded(VALUES)), VALUES)
    np.testing.assert_array_equal(array(loaded(VALUES, training=True)), trained(StochasticDepth(0.3, seed=9)))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = StochasticDepth(0.01, seed=0, dtype=policy)
    for training in (False, True):
        found = layer(keras.ops.ones((50_000, 2)), training=training)
        assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    found = array(found)
    assert abs((found[:, 0] == 0).mean() - 0.01) < four_sigma(len(found), 0.01)
    np.testing.assert_allclose(found[found != 0], 1 / 0.99, rtol=1e-2)


def test_integers_are_scaled_too():
    whole = np.arange(1, 9, dtype=np.uint8)
    found = array(StochasticDepth(0.2, seed=0)(keras.ops.convert_to_tensor(whole), training=True))
    np.testing.assert_allclose(found[found != 0], (whole / 0.8)[found != 0], rtol=1e-6)
    assert (found != 0).any()


@pytest.mark.parametrize("rate", [1, -0.1, 2, "half", None, True, float("nan")])
def test_a_bad_rate_is_refused(rate):
    with pytest.raises(InputError) as error:
        StochasticDepth(rate)
    assert str(error.value) == f"`rate` must be a number >= 0 and < 1. Received: rate={rate!r}."


def test_a_bad_seed_is_refused():
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        StochasticDepth(0.5, seed="none")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4, 0.5), "`block` must be a whole number >= 1. Received: block=0."),
        ((1.0, 4, 0.5), "`block` must be a whole number >= 1. Received: block=1.0."),
        ((1, 0, 0.5), "`blocks` must be a whole number >= 1. Received: blocks=0."),
        ((5, 4, 0.5), "`block` must be at most 4, the number of blocks. Received: block=5."),
        ((1, 4, 1), "`last_rate` must be a number >= 0 and < 1. Received: last_rate=1."),
        ((1, 4, -0.5), "`last_rate` must be a number >= 0 and < 1. Received: last_rate=-0.5."),
    ],
    ids=str,
)
def test_bad_arguments_of_the_linear_rule_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        StochasticDepth.linear_rate(*arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("symbolic", [False, True])
def test_a_shortcut_beside_the_branch_is_refused(symbolic):
    inputs = keras.Input((3,)) if symbolic else np.ones((2, 3), np.float32)
    with pytest.raises(InputError, match=r"takes one tensor, the branch.*Add\(\).*Received: 2 tensors"):
        StochasticDepth(0.5)([inputs, inputs])
