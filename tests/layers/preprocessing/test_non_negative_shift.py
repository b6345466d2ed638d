"""Shifted features: against NumPy, on every backend. What all adapted layers share is in test_adapted_layer."""

import numpy as np
import pytest
from layer_probes import array

from kerastrain.layers import NonNegativeShift

pytestmark = pytest.mark.backend


def test_nothing_is_negative_and_the_least_is_0():
    x = np.random.default_rng(0).normal([0.0, -50.0, 70.0], [1.0, 2.0, 10.0], size=(500, 3)).astype(np.float32)
    y = array(NonNegativeShift().adapt(x, batch_size=33)(x))
    assert y.min(axis=0).tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(np.diff(y, axis=0), np.diff(np.float64(x), axis=0), atol=1e-4)


def test_new_data_below_the_minimum_are_negative():
    layer = NonNegativeShift().adapt(np.array([[1.0], [5.0]]))
    assert array(layer(np.array([[-2.0], [1.0], [9.0]], np.float32)))[:, 0].tolist() == [-3.0, 0.0, 8.0]
