"""Dropout that scales at inference, against Keras's own, and its noise shape; test_dropout_family.py has the rest."""

import keras
import numpy as np
import pytest
from layer_probes import array, four_sigma, reloaded

from kerastrain.layers import TextbookDropout

pytestmark = pytest.mark.backend

RATES = [0.1, 0.25, 0.5, 0.9]
VALUES = np.random.default_rng(0).normal(size=(40, 500)).astype(np.float32)


def trained(layer, values=VALUES):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


@pytest.mark.parametrize("noise_shape", [None, (40, 1), (None, 1), (1, 500)], ids=str)
@pytest.mark.parametrize("rate", RATES)
def test_it_is_keras_dropout_times_what_is_kept(rate, noise_shape):
    ours = TextbookDropout(rate, noise_shape=noise_shape, seed=3)
    keras_own = keras.layers.Dropout(rate, noise_shape=noise_shape, seed=3)
    for _ in range(2):
        np.testing.assert_allclose(trained(ours), trained(keras_own) * (1 - rate), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(array(ours(VALUES)), array(keras_own(VALUES)) * (1 - rate), rtol=1e-6)


def test_the_noise_shape_says_which_values_share_their_mask():
    by_row = trained(TextbookDropout(0.5, noise_shape=(None, 1), seed=0)) == 0
    assert (by_row.all(axis=1) | ~by_row.any(axis=1)).all() and 5 < by_row[:, 0].sum() < 35
    by_column = trained(TextbookDropout(0.5, noise_shape=[1, 500], seed=0)) == 0
    assert (by_column.all(axis=0) | ~by_column.any(axis=0)).all()
    assert abs(by_column[0].mean() - 0.5) < four_sigma(500, 0.5)


def test_a_model_of_it_survives_a_file(tmp_path):
    layer = TextbookDropout(0.25, noise_shape=(None, 1), seed=8, name="drop")
    loaded = reloaded(keras.Sequential([keras.Input((500,)), layer]), tmp_path)
    again = loaded.get_layer("drop")
    assert type(again) is TextbookDropout
    assert (again.rate, again.noise_shape, again.seed) == (0.25, (None, 1), 8)
    np.testing.assert_allclose(array(loaded(VALUES)), VALUES * 0.75, rtol=1e-6)
    np.testing.assert_array_equal(array(loaded(VALUES, training=True)), trained(layer))


def test_a_bad_noise_shape_is_refused():
    with pytest.raises(ValueError, match="`noise_shape`"):
        TextbookDropout(0.5, noise_shape=(0, 1))
