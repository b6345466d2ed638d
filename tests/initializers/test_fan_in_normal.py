"""Deviations of one over the inputs: against the numbers of a normal distribution, on every backend."""

import math

import keras
import numpy as np
import pytest
from layer_probes import array, reloaded

from kerastrain.initializers import FanInNormal

pytestmark = pytest.mark.backend

SHAPES = [((50, 400), 50), ((400, 50), 400), ((3, 3, 8, 300), 72), ((5, 4, 1000), 20), ((2, 2, 2, 4, 500), 32)]


@pytest.mark.parametrize(("shape", "inputs"), SHAPES, ids=str)
def test_the_deviation_is_one_over_the_inputs(shape, inputs):
    weights = np.float64(array(FanInNormal(seed=1)(shape)))
    count = weights.size
    assert weights.shape == shape
    # The deviation of n normal numbers is off by sigma / sqrt(2 n), and their mean by sigma / sqrt(n); four of those.
    assert weights.std() * inputs == pytest.approx(1.0, abs=4 / math.sqrt(2 * count))
    assert weights.mean() * inputs == pytest.approx(0.0, abs=4 / math.sqrt(count))


def test_it_is_normal_and_not_truncated():
    scaled = np.float64(array(FanInNormal(seed=2)((100, 2000)))).ravel() * 100
    for bound, share in ((1, 0.682689), (2, 0.954500), (3, 0.997300)):  # Of a normal distribution.
        tolerance = 4 * math.sqrt(share * (1 - share) / scaled.size)
        assert np.mean(np.abs(scaled) < bound) == pytest.approx(share, abs=tolerance)


def test_outputs_shrink_by_the_root_of_the_inputs():
    layer = keras.layers.Dense(500, kernel_initializer=FanInNormal(seed=0))
    x = np.random.default_rng(0).normal(size=(200, 400)).astype(np.float32)
    assert array(layer(x)).std() == pytest.approx(1 / math.sqrt(400), rel=0.05)


def test_a_bias_counts_itself():
    assert np.float64(array(FanInNormal(seed=0)((10_000,)))).std() * 10_000 == pytest.approx(1.0, abs=0.03)


def test_seeds_are_those_of_keras():
    shape = (20, 10)
    first, second = FanInNormal(seed=3), FanInNormal(seed=3)
    np.testing.assert_array_equal(array(first(shape)), array(second(shape)))
    np.testing.assert_array_equal(array(first(shape)), array(first(shape)))
    assert np.abs(array(first(shape)) - array(FanInNormal(seed=4)(shape))).max() > 0.01
    assert np.abs(array(FanInNormal()(shape)) - array(FanInNormal()(shape))).max() > 0.01
    generator = FanInNormal(seed=keras.random.SeedGenerator(3))
    assert np.abs(array(generator(shape)) - array(generator(shape))).max() > 0.01
    plain = keras.initializers.RandomNormal(stddev=1 / 20, seed=3)
    np.testing.assert_allclose(array(first(shape)), array(plain(shape)), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_dtype_is_the_one_asked_for(dtype):
    weights = FanInNormal(seed=0)((1000, 100), dtype=dtype)
    assert keras.backend.standardize_dtype(weights.dtype) == dtype
    assert array(weights).std() == pytest.approx(1e-3, rel=0.05)


def test_it_is_saved_with_a_model(tmp_path):
    for seed in (7, None, keras.random.SeedGenerator(7)):
        initializer = FanInNormal(seed=seed)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer=initializer)])
        loaded = reloaded(model, tmp_path)
        assert type(loaded.layers[0].kernel_initializer) is FanInNormal
        assert loaded.layers[0].kernel_initializer.get_config() == initializer.get_config()
    again = FanInNormal.from_config(FanInNormal(seed=7).get_config())
    np.testing.assert_array_equal(array(again((5, 5))), array(FanInNormal(seed=7)((5, 5))))


@pytest.mark.parametrize("seed", ["7", 1.5, [1]], ids=repr)
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match="`seed` argument should be an instance of"):
        FanInNormal(seed=seed)
