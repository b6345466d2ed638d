"""The random map whose mean is the GELU: its probabilities by `math.erf`, on every backend."""

import math

import keras
import numpy as np
import pytest
from layer_probes import array, differentiated, four_sigma

from kerastrain.activations import stochastic_gelu

pytestmark = pytest.mark.backend

DRAWS = 20_000


def probability(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("value", [-2.0, -1.0, -0.5, 0.25, 1.0, 2.0])
def test_a_value_is_kept_with_the_probability_of_the_normal_distribution(value):
    found = array(stochastic_gelu(keras.ops.full((DRAWS,), value), seed=3))
    assert set(np.unique(found)) == {0.0, np.float32(value)}
    kept = (found != 0).mean()
    assert abs(kept - probability(value)) < four_sigma(DRAWS, probability(value))


@pytest.mark.parametrize("value", [-1.0, 0.5, 1.5])
def test_its_mean_is_the_gelu(value):
    found = array(stochastic_gelu(keras.ops.full((DRAWS,), value), seed=4)).astype(np.float64)
    gelu = value * probability(value)
    assert abs(found.mean() - gelu) < abs(value) * four_sigma(DRAWS, probability(value))


def test_far_from_zero_nothing_is_left_to_chance():
    values = np.array([-np.inf, -40.0, 0.0, 40.0, np.inf], np.float32)
    found = array(stochastic_gelu(keras.ops.convert_to_tensor(np.tile(values, (200, 1))), seed=0))
    np.testing.assert_array_equal(found, np.tile(np.array([0, 0, 0, 40, np.inf], np.float32), (200, 1)))


def test_what_is_no_number_is_not_hidden():
    found = array(stochastic_gelu(keras.ops.full((100,), float("nan")), seed=0))
    assert np.isnan(found).all()


def test_the_gradient_is_the_mask_of_the_draw():
    values = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)
    generator = keras.random.SeedGenerator(7)
    found, [gradient], _ = differentiated(lambda x: stochastic_gelu(x, generator), [values])
    assert 0.3 < (found != 0).mean() < 0.7
    np.testing.assert_array_equal(gradient, (found != 0).astype(np.float32))


def test_seeds():
    ones = keras.ops.ones((200,))
    by_number = [array(stochastic_gelu(ones, seed=5)) for _ in range(2)]
    np.testing.assert_array_equal(*by_number)
    generator = keras.random.SeedGenerator(5)
    first, second = (array(stochastic_gelu(ones, seed=generator)) for _ in range(2))
    np.testing.assert_array_equal(first, by_number[0])
    assert (first != second).any()
    assert (array(stochastic_gelu(ones)) != array(stochastic_gelu(ones))).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_draws_by_the_same_probabilities(dtype):
    # 1 of 147 values is kept; a draw in bfloat16, in steps of 1/128, would keep 1 of 128 or 2 of 128.
    value = -2.46875
    found = stochastic_gelu(keras.ops.full((DRAWS * 10,), value, dtype=dtype), seed=1)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    assert abs((array(found) != 0).mean() - probability(value)) < four_sigma(DRAWS * 10, probability(value))


def test_a_bad_seed_is_refused():
    with pytest.raises(ValueError, match="seed"):
        stochastic_gelu(keras.ops.ones(2), seed="none")
