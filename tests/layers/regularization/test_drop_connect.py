"""Dropped weights: the kernel that a layer used, read from its answers to unit inputs; on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, differentiated, four_sigma, reloaded, watched_again, watched_fit

from kerastrain._core.errors import InputError
from kerastrain.layers import DropConnect

pytestmark = pytest.mark.backend

RATE = 0.3
FAR_FROM_ZERO = keras.initializers.RandomUniform(0.5, 1.5, seed=0)
OPTIONS = {"kernel_initializer": FAR_FROM_ZERO, "bias_initializer": keras.initializers.RandomNormal(seed=1)}


def units(*shape):
    """A batch of inputs of this shape, each 1 at one place and 0 elsewhere: the outputs are the rows of the kernel."""
    size = int(np.prod(shape))
    return np.eye(size, dtype=np.float32).reshape(size, *shape)


def dense():
    return keras.layers.Dense(50, **OPTIONS), units(40), lambda kernel: kernel


def einsum_dense():
    layer = keras.layers.EinsumDense(
        "abc,cd->abd",
        output_shape=(None, 50),
        bias_axes="d",
        kernel_initializer=FAR_FROM_ZERO,
        bias_initializer=OPTIONS["bias_initializer"],
    )
    return layer, units(1, 40), lambda kernel: kernel.reshape(40, 1, 50)


def convolution_1d():
    return keras.layers.Conv1D(60, 3, **OPTIONS), units(3, 10), lambda kernel: kernel.reshape(30, 1, 60)


def convolution_2d():
    return keras.layers.Conv2D(60, (3, 2), **OPTIONS), units(3, 2, 5), lambda kernel: kernel.reshape(30, 1, 1, 60)


def depthwise_convolution():
    def rows(kernel):
        # (rows, columns, channels, multiplier): an input of channel c speaks to the outputs of c alone.
        found = np.zeros((*kernel.shape[:3], kernel.shape[2], kernel.shape[3]), np.float32)
        for channel in range(kernel.shape[2]):
            found[:, :, channel, channel] = kernel[:, :, channel]
        return found.reshape(-1, 1, 1, kernel.shape[2] * kernel.shape[3])

    layer = keras.layers.DepthwiseConv2D(
        (4, 4),
        depth_multiplier=8,
        depthwise_initializer=FAR_FROM_ZERO,
        bias_initializer=OPTIONS["bias_initializer"],
    )
    return layer, units(4, 4, 10), rows


def transposed_convolution():
    layer = keras.layers.Conv2DTranspose(20, (3, 2), **OPTIONS)
    return layer, units(1, 1, 15), lambda kernel: kernel.transpose(3, 0, 1, 2)


LAYERS = [dense, einsum_dense, convolution_1d, convolution_2d, depthwise_convolution, transposed_convolution]
each_layer = pytest.mark.parametrize("make", LAYERS, ids=lambda make: make.__name__)


def trained(layer, values):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


def weights(layer):
    """Kernel and bias of the wrapped layer."""
    return array(layer.layer.kernel), array(layer.layer.bias)


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


@pytest.mark.parametrize("jit", JITS)
def test_every_step_of_a_fit_draws_anew_and_the_same_from_the_same_seed(jit):
    layer = DropConnect(keras.layers.Dense(30, use_bias=False, kernel_initializer=FAR_FROM_ZERO), RATE, seed=9)
    outputs, traces, model = watched_fit(layer, units(40), steps=3, jit=jit, watched_shape=(40, 30))
    masks = [output != 0 for output in outputs]
    again = [output != 0 for output in watched_again(model, layer, units(40), steps=3)]
    np.testing.assert_array_equal(masks, again)
    assert (masks[0] != masks[1]).any() and (masks[1] != masks[2]).any()
    for mask in masks:
        assert abs((~mask).mean() - RATE) < four_sigma(mask.size, RATE)
    if BACKEND == "tensorflow" or jit:
        assert traces[0] == traces[-1]
    kernel = model.layers[0].get_weights()[0]
    weight, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(
        model.predict(units(40), batch_size=40, verbose=0), kernel @ weight + bias, rtol=1e-4, atol=1e-5
    )
    if BACKEND != "tensorflow" or not jit:  # TensorFlow's XLA draws from another stream.
        eager = DropConnect(keras.layers.Dense(30, use_bias=False, kernel_initializer="ones"), RATE, seed=9)
        for mask in masks:
            np.testing.assert_array_equal(mask, trained(eager, units(40)) != 0)


@pytest.mark.parametrize("jit", JITS)
@each_layer
def test_a_step_moves_the_kept_weights_and_the_bias(make, jit):
    inner, inputs, _ = make()
    model = keras.Sequential([keras.Input(inputs.shape[1:]), DropConnect(inner, RATE, seed=10)])
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=lambda y, outputs: keras.ops.mean(outputs), jit_compile=jit)
    before, bias_before = array(inner.kernel), array(inner.bias)
    model.train_on_batch(inputs, np.zeros((len(inputs), 1)))
    after, bias_after = array(inner.kernel), array(inner.bias)
    # The loss is linear: every kept weight moves by the same, a dropped one stays.
    moved = before != after
    step = (before - after)[moved]
    assert abs((~moved).mean() - RATE) < four_sigma(moved.size, RATE)
    size = array(model(inputs)).size
    np.testing.assert_allclose(step, 1 / (1 - RATE) / size, rtol=2e-2)
    np.testing.assert_allclose(bias_before - bias_after, np.full(bias_before.shape, 1 / bias_before.size), rtol=1e-3)


@each_layer
def test_a_model_of_it_survives_a_file(make, tmp_path):
    inner, inputs, _ = make()
    model = keras.Sequential([keras.Input(inputs.shape[1:]), DropConnect(inner, RATE, seed=11, name="drop")])
    shift = np.random.default_rng(4)
    model.set_weights([weight + shift.normal(size=weight.shape) for weight in model.get_weights()])
    values = shift.normal(size=inputs.shape).astype(np.float32)
    loaded = reloaded(model, tmp_path)
    layer = loaded.get_layer("drop")
    assert type(layer) is DropConnect and type(layer.layer) is type(inner)
    assert (layer.rate, layer.seed) == (RATE, 11)
    np.testing.assert_array_equal(array(loaded(values)), array(inner(values)))
    np.testing.assert_allclose(trained(loaded, values), trained(model, values), rtol=1e-5, atol=1e-5)


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


def test_a_regularizer_of_the_outputs_counts_in_training():
    inner = keras.layers.Dense(3, activity_regularizer=keras.regularizers.L2(0.5))
    model = keras.Sequential([keras.Input((4,)), DropConnect(inner, RATE, seed=13)])
    outputs = trained(model, np.ones((2, 4), np.float32))
    [loss] = model.losses
    # Keras takes the mean over the batch.
    np.testing.assert_allclose(array(loss), 0.5 * np.square(np.float64(outputs)).sum() / 2, rtol=1e-5)
    # In a compiled step as well, where it is the whole loss here.
    model.compile(optimizer="sgd", loss=lambda y, outputs: 0.0 * keras.ops.sum(outputs), jit_compile=BACKEND == "jax")
    model.layers[0].rate = 1e-9  # The mask is known: nothing is dropped.
    kernel, bias = weights(model.layers[0])
    values = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    expected = 0.5 * np.square(np.float64(values) @ kernel + bias).sum() / 6
    np.testing.assert_allclose(model.train_on_batch(values, np.zeros((6, 1))), expected, rtol=1e-4)


def test_a_regularizer_of_the_kernel_counts_once_and_for_all_weights():
    inner = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.5))
    model = keras.Sequential([keras.Input((4,)), DropConnect(inner, 0.5, seed=14)])
    trained(model, np.ones((2, 4), np.float32))
    [loss] = model.losses
    np.testing.assert_allclose(
        array(loss), 0.5 * (weights(model.layers[0])[0].astype(np.float64) ** 2).sum(), rtol=1e-5
    )


def test_a_built_layer_keeps_its_weights_and_its_own_use():
    inner = keras.layers.Dense(3, kernel_initializer="ones")
    plain = inner(np.ones((1, 4), np.float32))
    layer = DropConnect(inner, 0.5, seed=15)
    assert (trained(layer, np.ones((1, 4), np.float32)) != array(plain)).any()
    np.testing.assert_array_equal(array(inner(np.ones((1, 4), np.float32))), [[4, 4, 4]])
    np.testing.assert_array_equal(array(inner.kernel), np.ones((4, 3)))
    assert [weight.path for weight in layer.trainable_weights] == [inner.kernel.path, inner.bias.path]


@pytest.mark.filterwarnings("error:Layer .* was passed an input with a mask")
def test_it_passes_a_mask_on():
    inputs = keras.Input((4,), dtype="int32")
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(inputs)
    model = keras.Model(inputs, keras.layers.LSTM(2)(DropConnect(keras.layers.Dense(3), 0.5)(embedded)))
    short, padded = np.array([[1, 2]]), np.array([[1, 2, 0, 0]])
    lstm, dropped = model.layers[-1], keras.Sequential(model.layers[1:3])
    np.testing.assert_allclose(array(model(padded)), array(lstm(dropped(short))), rtol=1e-5, atol=1e-6)


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
