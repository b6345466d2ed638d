"""Dropped weights: the kernel that a layer used, read from its answers to unit inputs; on every backend."""

import keras
import numpy as np
import pytest
from drop_connect_layers import FAR_FROM_ZERO, OPTIONS, RATE, convolution_2d, dense, each_layer, trained, units, weights
from layer_probes import array, differentiated, four_sigma

from kerastrain._core.errors import InputError
from kerastrain.layers import DropConnect

pytestmark = pytest.mark.backend


@each_layer
def test_single_weights_are_dropped_or_scaled_and_the_bias_stays(make):
    inner, inputs, rows = make()
    layer = DropConnect(inner, RATE, seed=1)
    found = trained(layer, inputs)
    kernel, bias = weights(layer)
    full = rows(kernel)
    used = found - bias
    dropped = (np.abs(used) < 1e-5) & (full != 0)
    np.testing.assert_allclose(used, np.where(dropped, 0, full / (1 - RATE)), rtol=1e-4, atol=1e-5)
    assert kernel.size > 1000
    assert abs(dropped.sum() / kernel.size - RATE) < four_sigma(kernel.size, RATE)


@each_layer
def test_at_inference_it_is_the_layer(make):
    inner, inputs, rows = make()
    layer = DropConnect(inner, RATE, seed=1)
    values = np.random.default_rng(0).normal(size=inputs.shape).astype(np.float32)
    for options in ({}, {"training": False}):
        np.testing.assert_array_equal(array(layer(values, **options)), array(inner(values)))
    kernel, bias = weights(layer)
    np.testing.assert_allclose(array(layer(inputs)), rows(kernel) + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(trained(DropConnect(inner, 0), values), array(inner(values)))


@each_layer
def test_the_gradients(make):
    inner, inputs, rows = make()
    layer = DropConnect(inner, RATE, seed=2)
    layer(inputs)
    kernel, bias = weights(layer)
    found, _, [by_kernel, by_bias] = differentiated(
        lambda x: layer(x, training=True), [inputs], [inner.kernel, inner.bias]
    )
    # Each weight meets one input of 1: the gradient of the sum of the outputs is its mask, scaled.
    kept = (np.abs(found - bias) > 1e-5) & (rows(kernel) != 0)
    assert 0 < kept.sum() < kernel.size
    np.testing.assert_allclose(rows(by_kernel), kept / (1 - RATE), rtol=1e-5)
    np.testing.assert_allclose(by_bias, np.full(bias.shape, found.size / bias.size), rtol=1e-5)


def test_the_gradient_of_the_inputs_is_that_of_the_masked_kernel():
    layer = DropConnect(keras.layers.Dense(7, **OPTIONS), RATE, seed=3)
    values = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    layer(values)
    twin = DropConnect(keras.layers.Dense(7, **OPTIONS), RATE, seed=3)
    twin(values)
    twin.set_weights(layer.get_weights())
    used = trained(twin, units(6)) - weights(twin)[1]
    found, [gradient], _ = differentiated(lambda x: layer(x, training=True), [values])
    np.testing.assert_allclose(found, values @ used + weights(layer)[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, np.tile(used.sum(axis=1), (5, 1)), rtol=1e-4)


def test_the_activation_of_the_layer_is_inside():
    values = np.random.default_rng(2).normal(size=(50, 6)).astype(np.float32)
    plain = DropConnect(keras.layers.Dense(7, **OPTIONS), RATE, seed=4)
    bent = DropConnect(keras.layers.Dense(7, activation="relu", **OPTIONS), RATE, seed=4)
    bent(values)
    plain(values)
    plain.set_weights(bent.get_weights())
    before = trained(plain, values)
    assert (before < 0).any()
    np.testing.assert_allclose(trained(bent, values), np.maximum(before, 0), rtol=1e-6)


def test_the_mean_over_the_masks_is_the_layer():
    layer = DropConnect(keras.layers.Dense(3, **OPTIONS), 0.5, seed=5)
    values = np.random.default_rng(3).normal(size=(2, 40)).astype(np.float32)
    expected = array(layer(values)).astype(np.float64)
    found = np.mean([trained(layer, values) for _ in range(200)], axis=0, dtype=np.float64)
    kernel, _ = weights(layer)
    # Each product x w is 0 or 2 x w: its variance is (x w)^2.
    deviation = np.sqrt((np.float64(values)[:, :, None] ** 2 * kernel[None] ** 2).sum(axis=1) / 200)
    assert (np.abs(found - expected) < 4 * deviation).all()


def test_a_batch_shares_one_mask_and_the_next_has_another():
    layer = DropConnect(keras.layers.Dense(30, use_bias=False, kernel_initializer=FAR_FROM_ZERO), 0.5, seed=6)
    same = np.ones((5, 4), np.float32)
    first, second = trained(layer, same), trained(layer, same)
    np.testing.assert_array_equal(first, np.tile(first[:1], (5, 1)))
    assert (first != second).any()


def test_the_same_seed_draws_the_same_in_a_fresh_layer():
    def layer(seed):
        return DropConnect(keras.layers.Dense(20, kernel_initializer="ones"), 0.5, seed=seed)

    first, second = layer(7), layer(7)
    draws = [trained(first, units(20)) for _ in range(3)]
    for draw in draws:
        np.testing.assert_array_equal(draw, trained(second, units(20)))
    assert (draws[0] != draws[1]).any() and (draws[1] != draws[2]).any()
    assert (trained(layer(8), units(20)) != draws[0]).any()
    assert (trained(layer(None), units(20)) != trained(layer(None), units(20))).any()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("make", [dense, convolution_2d], ids=lambda make: make.__name__)
def test_mixed_precision(make, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inner, inputs, rows = make()
        layer = DropConnect(inner, RATE, seed=12)
        found = layer(keras.ops.convert_to_tensor(inputs), training=True)
        inference = layer(keras.ops.convert_to_tensor(inputs))
    finally:
        keras.config.set_dtype_policy(before)
    for outputs in (found, inference):
        assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    assert inner.kernel.dtype == "float32"
    kernel, bias = weights(layer)
    np.testing.assert_allclose(array(inference), rows(kernel) + bias, rtol=2e-2, atol=1e-2)
    used = array(found) - bias
    expected = np.where(np.abs(used) < 1e-1, 0, rows(kernel) / (1 - RATE))
    np.testing.assert_allclose(used, expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_drops_by_the_same_rate(policy):
    # Draws in bfloat16 come in steps of 1/128: of a rate of 0.01 they would make one of 2/128.
    inner = keras.layers.Dense(400, kernel_initializer="ones", use_bias=False, dtype=policy)
    found = trained(DropConnect(inner, 0.01, seed=0, dtype=policy), units(500))
    assert abs((found == 0).mean() - 0.01) < four_sigma(found.size, 0.01)


def test_a_built_layer_keeps_its_weights_and_its_own_use():
    inner = keras.layers.Dense(3, kernel_initializer="ones")
    plain = inner(np.ones((1, 4), np.float32))
    layer = DropConnect(inner, 0.5, seed=15)
    assert (trained(layer, np.ones((1, 4), np.float32)) != array(plain)).any()
    np.testing.assert_array_equal(array(inner(np.ones((1, 4), np.float32))), [[4, 4, 4]])
    np.testing.assert_array_equal(array(inner.kernel), np.ones((4, 3)))
    assert [weight.path for weight in layer.trainable_weights] == [inner.kernel.path, inner.bias.path]


def test_shapes():
    layer = DropConnect(keras.layers.Conv2D(5, 3, padding="same"), 0.5)
    assert layer(keras.Input((None, None, 2))).shape == (None, None, None, 5)
    assert layer.compute_output_shape((None, 8, 8, 2)) == (None, 8, 8, 5)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: keras.layers.Flatten(name="it"), (4,)),
        (lambda: keras.layers.SeparableConv2D(2, 3, name="it"), (8, 8, 3)),
        (lambda: keras.layers.LSTM(2, name="it"), (8, 3)),
        (lambda: keras.layers.Embedding(2, 3, name="it"), (4,)),
        (lambda: keras.layers.BatchNormalization(name="it"), (4,)),
        (lambda: keras.layers.Dense(2, lora_rank=1, name="it"), (4,)),
        (lambda: keras.Sequential([keras.layers.Dense(2)], name="it"), (4,)),
    ],
    ids=["Flatten", "SeparableConv2D", "LSTM", "Embedding", "BatchNormalization", "LoRA", "Sequential"],
)
def test_a_layer_without_one_kernel_is_refused_when_the_model_is_built(make, shape):
    inner = make()
    with pytest.raises(InputError) as error:
        DropConnect(inner, 0.5)(keras.Input(shape))
    assert str(error.value) == (
        "`layer` must have a kernel whose weights can be dropped, such as a Dense or Conv2D. Received: "
        f"{type(inner).__name__} `it`."
    )


def test_a_layer_that_assigns_to_its_kernel_is_refused():
    layer = DropConnect(keras.layers.SpectralNormalization(keras.layers.Dense(2, name="inside"), name="it"), 0.5)
    with pytest.raises(InputError, match="`it` assigns to its `kernel`"):
        trained(layer, np.ones((2, 3), np.float32))


@pytest.mark.parametrize("thing", [keras.layers.Dense, "dense", None, 3], ids=str)
def test_what_is_no_layer_is_refused(thing):
    with pytest.raises(InputError) as error:
        DropConnect(thing, 0.5)
    assert str(error.value) == (f"`layer` must be a Keras layer, such as keras.layers.Dense(10). Received: {thing!r}.")


@pytest.mark.parametrize("rate", [1, -0.1, "half", None, True, float("nan")])
def test_a_bad_rate_is_refused(rate):
    with pytest.raises(InputError) as error:
        DropConnect(keras.layers.Dense(2), rate)
    assert str(error.value) == f"`rate` must be a number >= 0 and < 1. Received: rate={rate!r}."


def test_a_bad_seed_is_refused():
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        DropConnect(keras.layers.Dense(2), 0.5, seed="none")
