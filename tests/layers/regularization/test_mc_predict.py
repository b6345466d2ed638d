"""Monte Carlo dropout: mean and spread by the Bernoulli distribution, its inputs and its refusals; every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, array
from mc_networks import VALUES, Batches, bytes_of, compiled, network

from kerastrain._core.errors import InputError
from kerastrain.layers import (
    DropBlock2D,
    DropConnect,
    GhostBatchNormalization,
    StochasticDepth,
    StochasticGELU,
    TextbookBatchNormalization,
    VariableRateDropout,
    mc_predict,
)

pytestmark = pytest.mark.backend


def test_mean_and_deviation_of_a_linear_model():
    # y = sum_i w_i x_i m_i / (1 - p): mean w x, variance p / (1 - p) sum_i (w_i x_i)^2.
    rate, samples, rows = 0.25, 10, 2000
    model = keras.Sequential(
        [keras.Input((40,)), keras.layers.Dropout(rate, seed=2), keras.layers.Dense(1, use_bias=False)]
    )
    kernel = np.random.default_rng(2).uniform(0.5, 1.5, size=(40, 1)).astype(np.float32)
    model.set_weights([kernel])
    values = np.random.default_rng(3).normal(size=(rows, 40)).astype(np.float32)
    mean, deviation = mc_predict(model, values, samples=samples, batch_size=1000)
    assert mean.shape == deviation.shape == (rows, 1)
    products = np.float64(values) * kernel[:, 0]
    expected_mean = products.sum(axis=1)
    expected_variance = rate / (1 - rate) * (products**2).sum(axis=1)
    # The errors of the rows, which are independent, in units of their own deviation: mean 0, mean square 1.
    errors = (mean[:, 0] - expected_mean) / np.sqrt(expected_variance / samples)
    assert abs(errors.mean()) < 4 / np.sqrt(rows)
    assert abs((errors**2).mean() - 1) < 4 * np.sqrt(2 / rows)
    # The mean square of `samples` values about their own mean is (samples - 1) / samples of the variance.
    ratios = deviation[:, 0] ** 2 / expected_variance
    assert abs(ratios.mean() - (samples - 1) / samples) < 4 * np.sqrt(2 / samples / rows)


def test_a_single_value_is_a_bernoulli_variable():
    model = keras.Sequential([keras.Input((5000,)), keras.layers.Dropout(0.2, seed=3)])
    mean, deviation = mc_predict(model, np.ones((1, 5000), np.float32), samples=2)
    # Of two draws of 0 or 1.25: both dropped, one dropped, none dropped.
    for value, spread, probability in ((0, 0, 0.04), (0.625, 0.625, 0.32), (1.25, 0, 0.64)):
        fraction = (np.isclose(mean, value) & np.isclose(deviation, spread)).mean()
        assert abs(fraction - probability) < 4 * np.sqrt(probability * (1 - probability) / 5000)


@pytest.mark.parametrize(
    "normalization", [keras.layers.BatchNormalization, GhostBatchNormalization, TextbookBatchNormalization]
)
def test_batch_normalization_is_at_inference(normalization):
    arguments = {"virtual_batch_size": 4} if normalization is GhostBatchNormalization else {}
    model = keras.Sequential(
        [keras.Input((6,)), normalization(name="norm", **arguments), VariableRateDropout(0.0), keras.layers.Dense(2)]
    )
    generator = np.random.default_rng(4)
    norm = compiled(model).get_layer("norm")
    norm.set_weights([generator.uniform(0.5, 1.5, 6) for _ in range(4)])
    expected = array(model(VALUES))
    # By the batch's own statistics the answers would be others.
    assert np.abs(array(keras.models.clone_model(model)(VALUES)) - expected).max() > 0.1
    mean, deviation = mc_predict(model, VALUES, samples=3, batch_size=8)
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(deviation, np.zeros((30, 2)), atol=1e-5)


def two_inputs():
    image, other = keras.Input((4,), name="image"), keras.Input((2,), name="other")
    joined = keras.layers.Dropout(0.5, seed=4)(keras.layers.Concatenate()([image, other]))
    return image, other, keras.layers.Dense(3)(joined)


def test_inputs_by_name_and_in_a_list():
    image, other, outputs = two_inputs()
    named = keras.Model({"image": image, "other": other}, outputs)
    mean, deviation = mc_predict(named, {"image": VALUES[:, :4], "other": VALUES[:, 4:]}, samples=4, batch_size=7)
    assert mean.shape == deviation.shape == (30, 3) and (deviation > 0).any()
    listed = keras.Model([image, other], outputs)
    mean, _ = mc_predict(listed, [VALUES[:, :4], VALUES[:, 4:]], samples=4, batch_size=7)
    assert mean.shape == (30, 3)


def test_several_batches_keep_their_order():
    model = keras.Sequential([keras.Input((6,)), VariableRateDropout(0.0), keras.layers.Dense(2)])
    kernel, bias = compiled(model).layers[-1].get_weights()
    sources = [VALUES, Batches()]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        sources.append(tf.data.Dataset.from_tensor_slices(VALUES).batch(7))
    for source in sources:
        mean, deviation = mc_predict(model, source, samples=2, batch_size=8)
        np.testing.assert_allclose(mean, VALUES @ kernel + bias, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(deviation, np.zeros((30, 2)), atol=1e-6)


def test_the_same_seeds_predict_the_same_and_the_generators_move_on():
    first, second = network(), network()
    found = mc_predict(first, VALUES, samples=3)
    again = mc_predict(second, VALUES, samples=3)
    np.testing.assert_array_equal(found.mean, again.mean)
    np.testing.assert_array_equal(found.standard_deviation, again.standard_deviation)
    assert (mc_predict(first, VALUES, samples=3).mean != found.mean).any()


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [keras.layers.Dense(4), StochasticGELU()],
        lambda: [DropConnect(keras.layers.Dense(4), 0.5)],
        lambda: [StochasticDepth(0.5)],
        lambda: [keras.layers.GaussianNoise(1.0)],
        lambda: [keras.layers.Reshape((3, 2, 1)), DropBlock2D(0.5, block_size=2)],
        lambda: [keras.layers.Reshape((3, 2, 1)), keras.layers.RandomContrast(0.9)],
        lambda: [keras.layers.Reshape((3, 2)), keras.layers.LSTM(2, dropout=0.5)],
        lambda: [keras.layers.Reshape((3, 2)), keras.layers.Bidirectional(keras.layers.GRU(2, recurrent_dropout=0.5))],
    ],
    ids=["StochasticGELU", "DropConnect", "StochasticDepth", "noise", "DropBlock2D", "image", "LSTM", "GRU inside"],
)
def test_every_random_layer_draws(layers):
    model = compiled(keras.Sequential([keras.Input((6,)), *layers()]))
    before = bytes_of(model)
    _, deviation = mc_predict(model, VALUES, samples=4)
    assert (deviation > 1e-6).any()
    assert bytes_of(model) == before


def test_half_precision_and_a_list_of_one_output():
    inputs = keras.Input((6,))
    hidden = keras.layers.Dropout(0.5, dtype="mixed_bfloat16")(inputs)
    for outputs in (hidden, [hidden], {"only": hidden}):
        mean, deviation = mc_predict(compiled(keras.Model(inputs, outputs)), VALUES, samples=3)
        assert mean.dtype == deviation.dtype == np.float32
        # Each draw is 0 or 2 x: the mean of three is a multiple of 2 x / 3.
        thirds = mean / VALUES * 1.5
        np.testing.assert_allclose(thirds, np.round(thirds), atol=3e-2)


def test_a_subclassed_model_with_a_generator_of_its_own():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)
            self.chance = keras.random.SeedGenerator(5)

        def call(self, inputs, training=False):
            if training:
                inputs = keras.random.dropout(inputs, 0.5, seed=self.chance)
            return self.dense(inputs)

    model = Own()
    with pytest.raises(InputError, match=r"`model` must be built\. Call `own(_\d+)?` once"):
        mc_predict(model, VALUES)
    model(VALUES)
    _, deviation = mc_predict(model, VALUES, samples=3)
    assert (deviation > 0).any()


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [keras.layers.Dense(2)],
        lambda: [keras.layers.Dropout(0)],
        lambda: [keras.layers.Reshape((3, 2)), keras.layers.LSTM(2)],
    ],
    ids=["none", "rate 0", "LSTM without dropout"],
)
def test_a_model_that_draws_nothing_is_refused(layers):
    model = keras.Sequential([keras.Input((6,)), *layers()], name="plain")
    before = bytes_of(model)
    with pytest.raises(InputError) as error:
        mc_predict(model, VALUES)
    assert str(error.value) == (
        "The model `plain` has no dropout or other random layer, so all predictions would be equal."
    )
    assert bytes_of(model) == before


def test_several_outputs_are_refused():
    inputs = keras.Input((6,))
    hidden = keras.layers.Dropout(0.5)(inputs)
    for outputs in ([hidden, inputs], {"a": hidden, "b": inputs}):
        with pytest.raises(InputError) as error:
            mc_predict(keras.Model(inputs, outputs, name="two"), VALUES)
        assert str(error.value) == "`model` must have one output. `two` has 2."

    class Two(keras.Model):
        def __init__(self):
            super().__init__(name="pair")
            self.drop = keras.layers.Dropout(0.5)

        def call(self, inputs):
            return self.drop(inputs), inputs

    model = Two()
    model(VALUES)
    with pytest.raises(InputError, match=r"`model` must have one output\. `pair` has 2\."):
        mc_predict(model, VALUES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 1}, "`samples` must be a whole number >= 2. Received: samples=1."),
        ({"samples": 2.0}, "`samples` must be a whole number >= 2. Received: samples=2.0."),
        ({"batch_size": 0}, "`batch_size` must be a whole number >= 1. Received: batch_size=0."),
        ({"batch_size": None}, "`batch_size` must be a whole number >= 1. Received: batch_size=None."),
    ],
    ids=str,
)
def test_bad_numbers_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        mc_predict(network(), VALUES, **arguments)
    assert str(error.value) == message


def test_what_is_no_model_or_can_be_read_only_once_is_refused():
    with pytest.raises(InputError, match=r"`model` must be a keras\.Model\. Received: 'model'"):
        mc_predict("model", VALUES)
    with pytest.raises(InputError, match="`x` must be what can be gone through several times, such as an array"):
        mc_predict(network(), (VALUES for _ in range(2)))
    with pytest.raises(InputError, match="`model` must be built"):
        mc_predict(keras.Sequential([keras.layers.Dropout(0.5)]), VALUES)
