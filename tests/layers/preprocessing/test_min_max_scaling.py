"""Scaled features: against scikit-learn and the formula, on every backend."""

import numpy as np
import pytest
from layer_probes import array

from kerastrain._core.errors import InputError
from kerastrain.layers import MinMaxScaling

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal([0.0, -50.0, 70.0, 0.0], [1.0, 2.0, 10.0, 1e-3], size=(300, 4)).astype(np.float32)
NEW = np.random.default_rng(1).normal([0.0, -50.0, 70.0, 0.0], [3.0, 9.0, 30.0, 1e-2], size=(50, 4)).astype(np.float32)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (2, 5), (-0.5, 1e3)])
def test_equals_scikit_learn(low, high):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    peer = preprocessing.MinMaxScaler((low, high)).fit(np.float64(X))
    layer = MinMaxScaling(low, high).adapt(X, batch_size=77)
    for x in (X, NEW):
        np.testing.assert_allclose(array(layer(x)), peer.transform(np.float64(x)), rtol=1e-4, atol=1e-4 * (high - low))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (2, 5)])
def test_the_data_fill_the_range(low, high):
    y = array(MinMaxScaling(low, high).adapt(X)(X))
    assert y.min(axis=0).tolist() == [low] * 4
    np.testing.assert_allclose(y.max(axis=0), high, rtol=1e-6)
    seen = np.float64(X)
    fractions = (seen - seen.min(axis=0)) / (seen.max(axis=0) - seen.min(axis=0))
    np.testing.assert_allclose(y, low + fractions * (high - low), rtol=1e-4, atol=1e-4)


def test_new_data_are_not_clipped():
    layer = MinMaxScaling().adapt(np.array([[0.0], [10.0]]))
    assert array(layer(np.array([[-5.0], [20.0]], np.float32)))[:, 0].tolist() == [-0.5, 2.0]


@pytest.mark.parametrize("value", [0.0, 5.0, -3e8])
def test_a_feature_of_one_value_becomes_the_lower_bound(value):
    layer = MinMaxScaling(-1.0, 1.0).adapt(np.full((10, 1), value))
    assert array(layer(np.full((3, 1), value, np.float32)))[:, 0].tolist() == [-1.0] * 3
    one_more = layer(np.full((1, 1), value + 1, np.float32))
    assert np.isfinite(array(one_more)).all(), "scikit-learn takes the width for 1 as well"


def test_one_sample_is_enough():
    assert array(MinMaxScaling().adapt(np.array([[3.0, 4.0]]))(np.array([[3.0, 4.0]], np.float32))).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (1.0, 1.0, "`high` must be above `low`. Received: low=1.0, high=1.0."),
        (1, 0, "`high` must be above `low`. Received: low=1, high=0."),
        ("0", 1.0, "`low` must be a number. Received: low='0'."),
        (0.0, float("inf"), "`high` must be a number. Received: high=inf."),
        (None, 1.0, "`low` must be a number. Received: low=None."),
    ],
)
def test_what_is_no_range_is_refused(low, high, message):
    with pytest.raises(InputError) as error:
        MinMaxScaling(low, high)
    assert str(error.value) == message


def test_the_config_has_every_argument():
    config = MinMaxScaling(-2.0, 3.0, axis=[1, 2], name="own", dtype="float64").get_config()
    assert {key: config[key] for key in ("low", "high", "axis", "name")} == {
        "low": -2.0,
        "high": 3.0,
        "axis": [1, 2],
        "name": "own",
    }
    assert MinMaxScaling.from_config(config).get_config() == config
