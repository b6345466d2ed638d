"""Which axes have a statistic of their own: against NumPy, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import array, reloaded

from kerastrain._core.errors import InputError
from kerastrain.layers import MeanCentering, MinMaxScaling, NonNegativeShift

pytestmark = pytest.mark.backend

IMAGES = np.random.default_rng(0).normal(3.0, [1.0, 10.0, 0.1], size=(20, 4, 5, 3)).astype(np.float32)


def over(axes, function):
    return function(np.float64(IMAGES), axis=axes, keepdims=True)


# `axis`, the axes that NumPy reduces, and the shape of the statistic.
AXES = [
    (-1, (0, 1, 2), (1, 1, 3)),
    (3, (0, 1, 2), (1, 1, 3)),
    ((-1,), (0, 1, 2), (1, 1, 3)),
    (None, (0, 1, 2, 3), (1, 1, 1)),
    ((), (0, 1, 2, 3), (1, 1, 1)),
    (1, (0, 2, 3), (4, 1, 1)),
    (-2, (0, 1, 3), (1, 5, 1)),
    ([1, 2], (0, 3), (4, 5, 1)),
    ((1, -1), (0, 2), (4, 1, 3)),
    ((-1, 1), (0, 2), (4, 1, 3)),
    ([1, 2, 3], (0,), (4, 5, 3)),
]


@pytest.mark.parametrize(("axis", "reduced", "shape"), AXES, ids=lambda value: str(value))
def test_axes_are_those_of_numpy(axis, reduced, shape, tmp_path):
    batches = np.split(IMAGES, [1, 9])
    low, high, mean = (over(reduced, function) for function in (np.min, np.max, np.mean))
    rows = [
        (MeanCentering(axis), IMAGES - mean),
        (NonNegativeShift(axis), IMAGES - low),
        (MinMaxScaling(axis=axis), (IMAGES - low) / (high - low)),
    ]
    for layer, wanted in rows:
        layer.adapt(batches)
        np.testing.assert_allclose(array(layer(IMAGES)), wanted, rtol=1e-5, atol=1e-5)
        assert {tuple(variable.shape) for variable in layer.variables} == {shape}
        assert layer.compute_output_shape(IMAGES.shape) == IMAGES.shape
        again = type(layer).from_config(layer.get_config())
        assert again.axis == layer.axis
        np.testing.assert_allclose(array(again.adapt(IMAGES)(IMAGES)), wanted, rtol=1e-5, atol=1e-5)
    saved = reloaded(keras.Sequential([keras.Input(IMAGES.shape[1:]), layer]), tmp_path)
    np.testing.assert_allclose(saved.predict(IMAGES, verbose=0), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2), (1, 2, 3)], ids=str)
def test_the_mean_is_that_of_keras(axis):
    kept = axis if axis is None or isinstance(axis, int) else list(axis)
    peer = keras.layers.Normalization(axis=kept)
    peer.adapt(IMAGES)
    layer = MeanCentering(axis).adapt(IMAGES)
    ours, theirs = layer.mean, peer.mean
    np.testing.assert_allclose(array(ours).ravel(), array(theirs).ravel(), rtol=1e-5)


def test_images_may_have_another_size_than_those_that_were_seen():
    layer = MeanCentering().adapt(IMAGES)
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    larger = np.tile(IMAGES, (1, 2, 3, 1))
    np.testing.assert_allclose(
        model.predict(larger, verbose=0), larger - over((0, 1, 2), np.mean), rtol=1e-5, atol=1e-5
    )


def test_a_mask_is_passed_on():
    layer = MeanCentering().adapt(IMAGES[:, 0])
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.Masking(0.0), layer, keras.layers.LSTM(2)])
    x = IMAGES[:, 0].copy()
    x[:, 3:] = 0.0
    shorter = keras.Sequential([keras.Input((3, 3)), layer, model.layers[-1]])
    np.testing.assert_allclose(model.predict(x, verbose=0), shorter.predict(x[:, :3], verbose=0), atol=1e-5)


@pytest.mark.parametrize("layer", [MeanCentering, NonNegativeShift, MinMaxScaling])
@pytest.mark.parametrize("axis", [0, True, 1.5, "last", [1, 0], [1, None], [[1]]], ids=repr)
def test_what_is_no_axis_is_refused(layer, axis):
    with pytest.raises(InputError) as error:
        layer(axis=axis)
    assert str(error.value) == (
        f"`axis` must be an axis other than 0, the batch's, a list of such, or None. Received: {axis!r}."
    )


@pytest.mark.parametrize("axis", [2, -2, -3, [1, 2]], ids=str)
def test_an_axis_that_inputs_have_not_is_refused(axis):
    with pytest.raises(InputError) as error:
        MeanCentering(axis).adapt(IMAGES[:, 0, 0])
    assert str(error.value) == f"`axis` must be axes of inputs of rank 2, not the first. Received: axis={axis}."


def test_an_axis_of_unknown_length_is_refused():
    with pytest.raises(InputError) as error:
        MeanCentering([1, -1])(keras.Input((None, 3)))
    assert str(error.value) == (
        "`axis` must be axes of a known length. Received: axis=[1, -1] of shape (None, None, 3)."
    )
