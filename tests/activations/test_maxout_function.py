"""Maxout against NumPy loops and the rule of TensorFlow Addons, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import array, differentiated

from kerastrain._core.errors import InputError
from kerastrain.activations import maxout

pytestmark = pytest.mark.backend


def drawn(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def by_hand(values, pieces):
    """Unit k is the maximum of the features k, k + units, k + 2 units, ..."""
    units = values.shape[-1] // pieces
    rows = values.reshape(-1, values.shape[-1])
    found = np.array([[max(row[k + i * units] for i in range(pieces)) for k in range(units)] for row in rows])
    return found.reshape(*values.shape[:-1], units)


def addons(values, num_units):
    """`tensorflow_addons.layers.Maxout(num_units)` on the last axis."""
    shape = list(values.shape)
    shape[-1] = num_units
    shape.insert(values.ndim - 1, values.shape[-1] // num_units)
    return values.reshape(shape).max(axis=values.ndim - 1)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 12), (2, 3, 3, 18)], ids=str)
@pytest.mark.parametrize("pieces", [1, 2, 3, 6])
def test_each_unit_is_the_maximum_of_its_pieces(shape, pieces):
    values = drawn(*shape)
    found = array(maxout(keras.ops.convert_to_tensor(values), pieces))
    np.testing.assert_array_equal(found, by_hand(values, pieces))


@pytest.mark.parametrize("units", [1, 3, 4, 6, 12])
def test_it_is_the_rule_of_tensorflow_addons(units):
    values = drawn(5, 4, 12)
    found = array(maxout(keras.ops.convert_to_tensor(values), pieces=12 // units))
    np.testing.assert_array_equal(found, addons(values, units))


def test_two_pieces_are_the_default():
    values = drawn(4, 8)
    np.testing.assert_array_equal(array(maxout(keras.ops.convert_to_tensor(values))), by_hand(values, 2))


def test_the_gradient_goes_to_the_largest_piece():
    values = drawn(7, 6)
    _, [found], _ = differentiated(lambda x: maxout(x, 3), [values])
    expected = np.zeros_like(values)
    for row in range(7):
        for unit in range(2):
            features = [unit, unit + 2, unit + 4]
            expected[row, max(features, key=lambda feature, row=row: values[row, feature])] = 1
    np.testing.assert_array_equal(found, expected)
    step = 1e-6
    wide = np.float64(values)
    for row, feature in np.ndindex(*values.shape):
        up, down = wide.copy(), wide.copy()
        up[row, feature] += step
        down[row, feature] -= step
        slope = (by_hand(up, 3).sum() - by_hand(down, 3).sum()) / (2 * step)
        assert abs(slope - found[row, feature]) < 1e-6


def test_a_dense_layer_in_front_makes_the_absolute_value():
    # max(x, -x) = |x|: a convex function that a ReLU needs two units and a sum for.
    values = drawn(10, 3)
    kernel = np.concatenate([np.eye(3), -np.eye(3)], axis=1).astype(np.float32)
    both = keras.ops.matmul(keras.ops.convert_to_tensor(values), kernel)
    np.testing.assert_allclose(array(maxout(both, 2)), np.abs(values), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays_half_precision(dtype):
    found = maxout(keras.ops.cast(drawn(2, 4), dtype), 2)
    assert keras.backend.standardize_dtype(found.dtype) == dtype


def test_plain_lists_and_symbolic_inputs_are_taken():
    np.testing.assert_array_equal(array(maxout([[1.0, 3.0, -2.0, -5.0]], 2)), [[1.0, 3.0]])
    assert maxout(keras.Input((5, 6)), 3).shape == (None, 5, 2)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (0, "`pieces` must be a whole number >= 1. Received: pieces=0."),
        (2.0, "`pieces` must be a whole number >= 1. Received: pieces=2.0."),
        (True, "`pieces` must be a whole number >= 1. Received: pieces=True."),
        ("2", "`pieces` must be a whole number >= 1. Received: pieces='2'."),
        (4, "`pieces` must divide the 6 features of the input. Received: pieces=4."),
        (12, "`pieces` must divide the 6 features of the input. Received: pieces=12."),
    ],
    ids=str,
)
def test_bad_pieces_are_refused(pieces, message):
    with pytest.raises(InputError) as error:
        maxout(keras.ops.ones((2, 6)), pieces)
    assert str(error.value).startswith(message)


def test_an_unknown_number_of_features_is_refused():
    with pytest.raises(InputError, match="last axis of the input must have a known length"):
        maxout(keras.Input((3, None)), 2)
    with pytest.raises(InputError, match="last axis of the input must have a known length"):
        maxout(keras.ops.ones(()), 2)
