"""Residual branches left out at random: ranks, blocks and the paper's rule; test_dropout_family.py has the rest."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, array, four_sigma

from kerastrain._core.errors import InputError
from kerastrain.layers import StochasticDepth

pytestmark = pytest.mark.backend

SAMPLES = 4000


def trained(layer, values):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


def assert_drops(found, rate, values):
    """Each sample is 0 or `x / (1 - rate)` as a whole, and the rate is right within 4 sigma."""
    rows, given = found.reshape(len(values), -1), values.reshape(len(values), -1)
    dropped = (rows == 0).all(axis=1)
    np.testing.assert_allclose(rows[~dropped], given[~dropped] / (1 - rate), rtol=1e-5)
    assert abs(dropped.mean() - rate) <= four_sigma(len(values), rate)


@pytest.mark.parametrize("shape", [(SAMPLES,), (SAMPLES, 3), (SAMPLES, 2, 3), (SAMPLES, 1, 2, 2, 3)], ids=str)
def test_any_rank(shape):
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    assert_drops(trained(StochasticDepth(0.3, seed=2), values), 0.3, values)


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


def test_a_model_of_it_trains_on_batches_of_any_size():
    inputs = keras.Input((3,))
    branch = StochasticDepth(0.5)(keras.layers.Dense(3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Add()([branch, inputs])))
    model.compile(optimizer="sgd", loss="mse", jit_compile=BACKEND == "jax")
    before = model.get_weights()
    history = model.fit(np.ones((7, 3)), np.ones((7, 1)), batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))


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
