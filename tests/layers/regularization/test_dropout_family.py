"""What the layers share that drop their inputs at random, against the binomial distribution, on every backend."""

import dataclasses

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, differentiated, four_sigma, reloaded, watched_again, watched_fit

from kerastrain._core.errors import InputError
from kerastrain.layers import StochasticDepth, TextbookDropout, VariableRateDropout

pytestmark = pytest.mark.backend


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer, the shape of inputs with enough to be dropped, and by what it multiplies at the rate `p`."""

    layer: type
    shape: tuple
    whole_samples: bool = False
    scaled_at_inference: bool = False

    def values(self, generator=0):
        return np.random.default_rng(generator).normal(size=self.shape).astype(np.float32)

    def kept(self, p):
        return 1.0 if self.scaled_at_inference else 1 / (1 - p)

    def inference(self, p):
        return 1 - p if self.scaled_at_inference else 1.0

    def dropped(self, found):
        """Which of the outputs, or which samples, are 0."""
        return (found.reshape(len(found), -1) == 0).all(axis=1) if self.whole_samples else found == 0


ROWS = [
    Row(StochasticDepth, (4000, 2, 2, 3), whole_samples=True),
    Row(VariableRateDropout, (40, 500)),
    Row(TextbookDropout, (40, 500), scaled_at_inference=True),
]
each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.layer.__name__)


def trained(layer, values):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


def assert_drops(row, found, p, values, rtol=1e-5):
    """What is not dropped is scaled, and the rate is right within 4 sigma."""
    dropped = row.dropped(found)
    assert abs(dropped.mean() - p) <= four_sigma(dropped.size, p)
    np.testing.assert_allclose(found[~dropped], row.kept(p) * values[~dropped], rtol=rtol)


@each
@pytest.mark.parametrize("p", [0, 0.1, 0.25, 0.5, 0.9])
def test_the_formula_in_training_and_at_inference(row, p):
    layer, values = row.layer(p, seed=1), row.values()
    assert_drops(row, trained(layer, values), p, values)
    for options in ({}, {"training": False}):
        np.testing.assert_allclose(array(layer(values, **options)), row.inference(p) * values, rtol=1e-6)
    if row.inference(p) == 1:
        np.testing.assert_array_equal(array(layer(values)), values)


@each
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_mean_in_training_is_the_one_at_inference(row, p):
    layer, ones = row.layer(p, seed=2), np.ones(row.shape, np.float32)
    np.testing.assert_allclose(array(layer(ones)), row.inference(p), rtol=1e-6)
    found, tries = trained(layer, ones), row.shape[0] if row.whole_samples else ones.size
    assert abs(found.mean(dtype=np.float64) - row.inference(p)) < four_sigma(tries, p) * row.kept(p)


@each
def test_the_gradient_is_the_factor(row):
    layer, values = row.layer(0.25, seed=4), row.values()
    found, [gradient], _ = differentiated(lambda x: layer(x, training=True), [values])
    np.testing.assert_allclose(gradient, row.kept(0.25) * (found != 0), rtol=1e-6)
    _, [gradient], _ = differentiated(layer, [values])
    np.testing.assert_allclose(gradient, np.full(row.shape, row.inference(0.25)), rtol=1e-6)


@each
def test_the_same_seed_draws_the_same_in_a_fresh_layer(row):
    values = row.values()
    first, second = row.layer(0.5, seed=6), row.layer(0.5, seed=6)
    draws = [trained(first, values) for _ in range(3)]
    for draw in draws:
        np.testing.assert_array_equal(draw, trained(second, values))
    assert (draws[0] != draws[1]).any() and (draws[1] != draws[2]).any()
    assert (trained(row.layer(0.5, seed=7), values) != draws[0]).any()
    assert (trained(row.layer(0.5), values) != trained(row.layer(0.5), values)).any()


@each
@pytest.mark.parametrize("jit", JITS)
def test_every_step_of_a_fit_draws_anew_and_the_same_from_the_same_seed(row, jit):
    layer, values = row.layer(0.4, seed=8), row.values()
    outputs, _, model = watched_fit(layer, values, steps=3, jit=jit)
    np.testing.assert_array_equal(outputs, watched_again(model, layer, values, steps=3))
    for output in outputs:
        assert_drops(row, output, 0.4, values)
    assert (outputs[0] != outputs[1]).any() and (outputs[1] != outputs[2]).any()
    kernel, bias = model.layers[-1].get_weights()
    expected = row.inference(0.4) * values.reshape(len(values), -1) @ kernel + bias
    np.testing.assert_allclose(model.predict(values, batch_size=len(values), verbose=0), expected, rtol=1e-4, atol=1e-4)
    if BACKEND != "tensorflow" or not jit:  # TensorFlow's XLA draws from another stream.
        eager = row.layer(0.4, seed=8)
        for output in outputs:
            np.testing.assert_allclose(output, trained(eager, values), rtol=1e-6)


@each
def test_a_model_of_it_survives_a_file(row, tmp_path):
    values = row.values()
    model = keras.Sequential([keras.Input(row.shape[1:]), row.layer(0.25, seed=9, name="drop")])
    loaded = reloaded(model, tmp_path)
    layer = loaded.get_layer("drop")
    assert type(layer) is row.layer and (layer.rate, layer.seed) == (0.25, 9)
    np.testing.assert_allclose(array(loaded(values)), row.inference(0.25) * values, rtol=1e-6)
    np.testing.assert_array_equal(array(loaded(values, training=True)), trained(row.layer(0.25, seed=9), values))


@each
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("p", [0.01, 0.5])
def test_half_precision_is_of_the_values_and_not_of_the_rate(row, policy, p):
    # Draws in bfloat16 come in steps of 1/128: of a rate of 0.01 they would make one of 2/128.
    layer = row.layer(p, seed=0, dtype=policy)
    values = np.ones((50_000, 2) if row.whole_samples else (400, 500), np.float32)
    for training, factor in ((True, row.kept(p)), (False, row.inference(p))):
        found = layer(keras.ops.convert_to_tensor(values), training=training)
        assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
        if training:
            assert_drops(row, array(found), p, values, rtol=1e-2)
        else:
            np.testing.assert_allclose(array(found), factor * values, rtol=1e-2)


@each
def test_integers_are_scaled_too(row):
    layer, whole = row.layer(0.2, seed=0), np.arange(1, 9, dtype=np.uint8)
    np.testing.assert_allclose(array(layer(keras.ops.convert_to_tensor(whole))), row.inference(0.2) * whole, rtol=1e-6)
    found = trained(layer, whole)
    assert (found != 0).any()
    np.testing.assert_allclose(found[found != 0], (row.kept(0.2) * whole)[found != 0], rtol=1e-6)


@each
@pytest.mark.parametrize("rate", [1, 1.0, -0.1, 2, "half", None, True, float("nan")])
def test_a_bad_rate_is_refused(row, rate):
    with pytest.raises(InputError) as error:
        row.layer(rate)
    assert str(error.value) == f"`rate` must be a number >= 0 and < 1. Received: rate={rate!r}."


@each
def test_a_bad_seed_is_refused(row):
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        row.layer(0.5, seed="none")
