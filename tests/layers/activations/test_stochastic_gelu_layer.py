"""The random GELU layer: its probabilities and its mean by `math.erf`, on every backend."""

import math

import keras
import numpy as np
import pytest
from layer_probes import JITS, array, differentiated, four_sigma, reloaded, watched_again, watched_fit

from kerastrain.layers import StochasticGELU

pytestmark = pytest.mark.backend

DRAWS = 20_000


def probability(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


GELU = np.vectorize(lambda x: x * probability(x), otypes=[np.float64])
VALUES = np.random.default_rng(0).normal(size=(8, 40)).astype(np.float32)


def drawn(layer, values=VALUES):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


@pytest.mark.parametrize("value", [-1.5, -0.5, 0.5, 1.5])
def test_in_training_a_value_is_kept_by_its_probability_and_not_scaled(value):
    found = drawn(StochasticGELU(seed=1), np.full((DRAWS,), value, np.float32))
    assert set(np.unique(found)) == {0.0, np.float32(value)}
    assert abs((found != 0).mean() - probability(value)) < four_sigma(DRAWS, probability(value))
    assert abs(np.float64(found).mean() - GELU(value)) < abs(value) * four_sigma(DRAWS, probability(value))


def test_at_inference_it_is_the_gelu():
    layer = StochasticGELU(seed=1)
    for _ in range(2):
        np.testing.assert_allclose(array(layer(VALUES)), GELU(VALUES), rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(array(layer(VALUES, training=False)), GELU(VALUES), rtol=2e-5, atol=1e-6)


def test_the_gradient_of_training_is_the_mask():
    layer = StochasticGELU(seed=2)
    found, [gradient], _ = differentiated(lambda x: layer(x, training=True), [VALUES])
    np.testing.assert_array_equal(gradient, (found != 0).astype(np.float32))
    assert 0 < gradient.mean() < 1


def test_the_same_seed_draws_the_same_in_a_fresh_layer():
    first, second = StochasticGELU(seed=3), StochasticGELU(seed=3)
    draws = [drawn(first) for _ in range(3)]
    for draw in draws:
        np.testing.assert_array_equal(draw, drawn(second))
    assert (draws[0] != draws[1]).any() and (draws[1] != draws[2]).any()
    assert (drawn(StochasticGELU(seed=4)) != draws[0]).any()
    assert (drawn(StochasticGELU()) != drawn(StochasticGELU())).any()


@pytest.mark.parametrize("jit", JITS)
def test_every_step_of_a_fit_draws_anew_and_the_same_from_the_same_seed(jit):
    layer = StochasticGELU(seed=5)
    outputs, _, model = watched_fit(layer, VALUES, steps=3, jit=jit)
    for output in outputs:
        assert np.isin(output, [0]).any() and ((output == 0) | (output == VALUES)).all()
    assert (outputs[0] != outputs[1]).any() and (outputs[1] != outputs[2]).any()
    np.testing.assert_array_equal(outputs, watched_again(model, layer, VALUES, steps=3))
    np.testing.assert_allclose(
        model.predict(VALUES, verbose=0), array(model.layers[-1](GELU(VALUES).astype(np.float32))), rtol=1e-4, atol=1e-5
    )


def test_a_model_of_it_survives_a_file_and_begins_its_draws_again(tmp_path):
    model = keras.Sequential([keras.Input((40,)), StochasticGELU(seed=6, name="chance")])
    model(VALUES, training=True)
    loaded = reloaded(model, tmp_path)
    # As with keras.layers.Dropout, the seed is in the file and the state of the generator is not.
    assert loaded.get_layer("chance").seed == 6
    np.testing.assert_array_equal(array(loaded(VALUES, training=True)), drawn(StochasticGELU(seed=6)))
    np.testing.assert_allclose(array(loaded(VALUES)), GELU(VALUES), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("training", [False, True])
def test_mixed_precision(policy, training):
    found = StochasticGELU(seed=0, dtype=policy)(keras.ops.convert_to_tensor(VALUES), training=training)
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    if training:
        assert ((array(found) == 0) | (np.abs(array(found) - VALUES) < 0.02)).all()
    else:
        np.testing.assert_allclose(array(found), GELU(VALUES), atol=5e-2)


@pytest.mark.parametrize("seed", ["none", 1.5])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        StochasticGELU(seed=seed)
