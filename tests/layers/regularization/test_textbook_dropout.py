"""Dropout that scales at inference, against Keras's own and the binomial distribution, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, differentiated, four_sigma, reloaded, watched_fit

from kerastrain._core.errors import InputError
from kerastrain.layers import TextbookDropout

pytestmark = pytest.mark.backend

RATES = [0.1, 0.25, 0.5, 0.9]
VALUES = np.random.default_rng(0).normal(size=(40, 500)).astype(np.float32)


def trained(layer, values=VALUES):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


@pytest.mark.parametrize("rate", RATES)
def test_in_training_values_are_dropped_by_the_rate_and_not_scaled(rate):
    found = trained(TextbookDropout(rate, seed=1))
    assert ((found == 0) | (found == VALUES)).all()
    assert abs((found == 0).mean() - rate) < four_sigma(VALUES.size, rate)


@pytest.mark.parametrize("rate", RATES)
def test_at_inference_all_values_are_scaled(rate):
    layer = TextbookDropout(rate)
    for options in ({}, {"training": False}):
        np.testing.assert_allclose(array(layer(VALUES, **options)), VALUES * (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("rate", RATES)
def test_the_mean_is_the_same_in_training_and_at_inference(rate):
    ones = np.ones_like(VALUES)
    layer = TextbookDropout(rate, seed=2)
    inference = array(layer(ones))
    assert abs(inference.mean(dtype=np.float64) - (1 - rate)) < 1e-6
    assert abs(trained(layer, ones).mean(dtype=np.float64) - (1 - rate)) < four_sigma(ones.size, rate)


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


def test_the_gradient():
    layer = TextbookDropout(0.3, seed=4)
    found, [gradient], _ = differentiated(lambda x: layer(x, training=True), [VALUES])
    np.testing.assert_array_equal(gradient, (found != 0).astype(np.float32))
    _, [gradient], _ = differentiated(layer, [VALUES])
    np.testing.assert_allclose(gradient, np.full_like(VALUES, 0.7), rtol=1e-6)


def test_a_rate_of_zero_does_nothing():
    layer = TextbookDropout(0)
    np.testing.assert_array_equal(trained(layer), VALUES)
    np.testing.assert_array_equal(array(layer(VALUES)), VALUES)


def test_the_same_seed_draws_the_same_in_a_fresh_layer():
    first, second = TextbookDropout(0.5, seed=5), TextbookDropout(0.5, seed=5)
    draws = [trained(first) for _ in range(3)]
    for draw in draws:
        np.testing.assert_array_equal(draw, trained(second))
    assert (draws[0] != draws[1]).any() and (draws[1] != draws[2]).any()
    assert (trained(TextbookDropout(0.5, seed=6)) != draws[0]).any()
    assert (trained(TextbookDropout(0.5)) != trained(TextbookDropout(0.5))).any()


@pytest.mark.parametrize("jit", JITS)
def test_every_step_of_a_fit_draws_as_keras_dropout_does(jit):
    outputs, _, model = watched_fit(TextbookDropout(0.4, seed=7), VALUES, steps=3, jit=jit)
    expected, _, _ = watched_fit(keras.layers.Dropout(0.4, seed=7), VALUES, steps=3, jit=jit)
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs * 0.6, rtol=1e-5, atol=1e-6)
        assert abs((ours == 0).mean() - 0.4) < four_sigma(VALUES.size, 0.4)
    assert (outputs[0] != outputs[1]).any() and (outputs[1] != outputs[2]).any()
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(
        model.predict(VALUES, batch_size=40, verbose=0), 0.6 * VALUES @ kernel + bias, rtol=1e-4, atol=1e-4
    )
    if BACKEND != "tensorflow" or not jit:  # TensorFlow's XLA draws from another stream.
        eager = TextbookDropout(0.4, seed=7)
        for output in outputs:
            np.testing.assert_array_equal(output, trained(eager))


def test_a_model_of_it_survives_a_file(tmp_path):
    layer = TextbookDropout(0.25, noise_shape=(None, 1), seed=8, name="drop")
    loaded = reloaded(keras.Sequential([keras.Input((500,)), layer]), tmp_path)
    again = loaded.get_layer("drop")
    assert type(again) is TextbookDropout
    assert (again.rate, again.noise_shape, again.seed) == (0.25, (None, 1), 8)
    np.testing.assert_allclose(array(loaded(VALUES)), VALUES * 0.75, rtol=1e-6)
    np.testing.assert_array_equal(array(loaded(VALUES, training=True)), trained(layer))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    layer = TextbookDropout(0.5, seed=0, dtype=policy)
    for training in (False, True):
        found = layer(keras.ops.convert_to_tensor(VALUES), training=training)
        assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
        expected = np.where(array(found) == 0, 0, VALUES) if training else VALUES / 2
        np.testing.assert_allclose(array(found), expected, rtol=1e-2)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_half_precision_drops_by_the_same_rate(policy, rate):
    # Draws in bfloat16 come in steps of 1/128: of a rate of 0.01 they would make one of 2/128.
    found = trained(TextbookDropout(rate, seed=0, dtype=policy), np.ones((400, 500), np.float32))
    assert abs((found == 0).mean() - rate) < four_sigma(found.size, rate)


def test_integers_are_scaled_too():
    layer = TextbookDropout(0.5, seed=0)
    whole = np.arange(1, 9, dtype=np.uint8)
    np.testing.assert_array_equal(array(layer(keras.ops.convert_to_tensor(whole))), whole / 2)
    found = array(layer(keras.ops.convert_to_tensor(whole), training=True))
    assert ((found == 0) | (found == whole)).all()


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, 2, "half", None, True, float("nan")])
def test_a_bad_rate_is_refused(rate):
    with pytest.raises(InputError) as error:
        TextbookDropout(rate)
    assert str(error.value) == f"`rate` must be a number >= 0 and < 1. Received: rate={rate!r}."


def test_a_bad_noise_shape_or_seed_is_refused():
    with pytest.raises(ValueError, match="`noise_shape`"):
        TextbookDropout(0.5, noise_shape=(0, 1))
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        TextbookDropout(0.5, seed="none")
