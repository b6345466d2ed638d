"""The maxout layer against the rule of TensorFlow Addons in NumPy, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import JITS, array, reloaded, watched_fit

from kerastrain._core.errors import InputError
from kerastrain.layers import Maxout

pytestmark = pytest.mark.backend

VALUES = np.random.default_rng(2).normal(size=(4, 3, 3, 12)).astype(np.float32)


def addons(values, num_units):
    """`tensorflow_addons.layers.Maxout(num_units)` on the last axis."""
    shape = list(values.shape)
    shape[-1] = num_units
    shape.insert(values.ndim - 1, values.shape[-1] // num_units)
    return values.reshape(shape).max(axis=values.ndim - 1)


@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 6, 12])
def test_it_is_the_rule_of_tensorflow_addons(pieces):
    layer = Maxout(pieces)
    found = array(layer(keras.ops.convert_to_tensor(VALUES)))
    np.testing.assert_array_equal(found, addons(VALUES, 12 // pieces))
    assert layer.compute_output_shape((None, 3, 3, 12)) == (None, 3, 3, 12 // pieces)
    assert layer.weights == []


def test_a_dense_layer_behind_another_is_the_maximum_of_its_pieces():
    dense = keras.layers.Dense(6)
    model = keras.Sequential([keras.Input((5,)), dense, Maxout(3)])
    assert model.output_shape == (None, 2)
    inputs = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    kernel, bias = dense.get_weights()
    hidden = inputs @ kernel + bias
    pieces = [hidden[:, 0:2], hidden[:, 2:4], hidden[:, 4:6]]
    np.testing.assert_allclose(array(model(inputs)), np.maximum.reduce(pieces), rtol=1e-5, atol=1e-6)


def test_any_batch_size_and_map_size():
    model = keras.Sequential([keras.Input((None, None, 12)), Maxout(4)])
    assert model.output_shape == (None, None, None, 3)
    for batch in (1, 4):
        found = model.predict(VALUES[:batch, :2], batch_size=3, verbose=0)
        np.testing.assert_array_equal(found, addons(VALUES[:batch, :2], 3))


@pytest.mark.parametrize("jit", JITS)
def test_it_trains(jit):
    outputs, _, _ = watched_fit(Maxout(4), VALUES, steps=2, jit=jit, watched_shape=(4, 3, 3, 3))
    for output in outputs:
        np.testing.assert_array_equal(output, addons(VALUES, 3))


def test_a_model_of_it_survives_a_file(tmp_path):
    loaded = reloaded(keras.Sequential([keras.Input((3, 3, 12)), Maxout(6, name="largest")]), tmp_path)
    assert loaded.get_layer("largest").pieces == 6
    np.testing.assert_array_equal(array(loaded(VALUES)), addons(VALUES, 2))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    found = Maxout(2, dtype=policy)(keras.ops.convert_to_tensor(VALUES))
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(array(found), addons(VALUES, 6), rtol=1e-2)


@pytest.mark.filterwarnings("error:Layer .* was passed an input with a mask")
def test_it_passes_a_mask_on():
    inputs = keras.Input((4,), dtype="int32")
    embedded = keras.layers.Embedding(5, 6, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.LSTM(2)(Maxout(2)(embedded)))
    short, padded = np.array([[1, 2]]), np.array([[1, 2, 0, 0]])
    lstm, bent = model.layers[-1], keras.Sequential(model.layers[1:3])
    np.testing.assert_allclose(array(model(padded)), array(lstm(bent(short))), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pieces", [0, -1, 1.5, True, None])
def test_bad_pieces_are_refused(pieces):
    with pytest.raises(InputError) as error:
        Maxout(pieces)
    assert str(error.value) == f"`pieces` must be a whole number >= 1. Received: pieces={pieces!r}."


def test_features_that_cannot_be_divided_are_refused_when_the_model_is_built():
    with pytest.raises(InputError) as error:
        Maxout(5)(keras.Input((3, 12)))
    assert str(error.value) == (
        "`pieces` must divide the 12 features of the input. Received: pieces=5. Give the layer in front 5 times as "
        "many features as there are to be."
    )
    with pytest.raises(InputError, match="last axis of the input must have a known length"):
        Maxout(2)(keras.Input((3, None)))
