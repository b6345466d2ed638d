"""Centered features: against NumPy, on every backend. What all adapted layers share is in test_adapted_layer."""

import numpy as np
import pytest
from layer_probes import array

from kerastrain.layers import MeanCentering

pytestmark = pytest.mark.backend


def test_the_mean_is_0_and_the_spread_stays():
    x = np.random.default_rng(0).normal([1.0, -50.0, 7.0], [1.0, 2.0, 0.1], size=(500, 3)).astype(np.float32)
    y = np.float64(array(MeanCentering().adapt(x)(x)))
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=0), np.float64(x).std(axis=0), rtol=1e-5)


def test_unequal_batches_weigh_by_their_samples():
    layer = MeanCentering().adapt([np.full((1, 1), 10.0), np.full((3, 1), 2.0), np.full((6, 1), 0.0)])
    assert array(layer.mean).tolist() == pytest.approx([1.6])  # 16 / 10


def test_a_large_mean_is_summed_in_float64():
    # 16,777,217 is the first whole number that float32 lacks; a float32 sum of these would stand still.
    x = np.tile(np.array([[16_777_216.0], [16_777_218.0]]), (5000, 1))
    layer = MeanCentering(dtype="float32").adapt(x, batch_size=100)
    assert float(array(layer.mean)[0]) in (16_777_216.0, 16_777_218.0)
    assert array(layer(np.float32(x[:2])))[:, 0].tolist() in ([0.0, 2.0], [-2.0, 0.0])
