"""Batch normalization by parts of the batch: against Keras's own on torch's chunks, on every backend."""

import math

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, differentiated, reloaded

from kerastrain._core.errors import InputError
from kerastrain.layers import GhostBatchNormalization, recalibrate

pytestmark = pytest.mark.backend


def inputs(batch, *shape, seed=0):
    """Every sample has a mean and a deviation of its own, so that it matters whom it is normalized with."""
    generator = np.random.default_rng(seed)
    per_sample = (batch, *(1 for _ in shape[:-1]), shape[-1])
    scale, offset = generator.uniform(0.5, 3.0, size=per_sample), generator.normal(0, 5, size=per_sample)
    return (generator.normal(size=(batch, *shape)) * scale + offset).astype(np.float32)


def chunks(x, virtual_batch_size):
    """What `torch.chunk(x, n)` gives, by its description: parts of ceil(batch / n), the last one smaller."""
    size = math.ceil(len(x) / math.ceil(len(x) / virtual_batch_size))
    return [x[start : start + size] for start in range(0, len(x), size)]


def peer_on(parts, axis=-1, momentum=0.9, **arguments):
    """Keras's own layer on each part by itself: outputs, and moving statistics when they move by the parts' mean."""
    outputs, means, variances = [], [], []
    for part in parts:
        peer = keras.layers.BatchNormalization(axis=axis, momentum=momentum, **arguments)
        outputs.append(array(peer(part, training=True)))
        means.append(array(peer.moving_mean))
        variances.append(array(peer.moving_variance))
    # From 0 and 1 they moved linearly, so that the mean of where they went is where the mean goes.
    return np.concatenate(outputs), np.mean(means, axis=0), np.mean(variances, axis=0)


CASES = [
    (8, 4),
    (8, 3),
    (9, 4),
    (5, 2),
    (5, 4),
    (7, 3),
    (10, 4),
    (3, 2),
    (2, 1),
    (6, 6),
    (6, 7),
    (6, 128),
    (1, 128),
    (1, 1),
    (33, 8),
    (129, 128),
]


@pytest.mark.parametrize(("batch", "virtual"), CASES)
def test_the_parts_are_those_of_torch(batch, virtual):
    torch = pytest.importorskip("torch")
    wanted = [len(part) for part in torch.chunk(torch.arange(batch), math.ceil(batch / virtual))]
    assert [len(part) for part in chunks(np.arange(batch), virtual)] == wanted
    assert max(wanted) <= virtual


@pytest.mark.parametrize(("batch", "virtual"), CASES)
@pytest.mark.parametrize("shape", [(3,), (2, 4, 3)], ids=["rows", "images"])
def test_in_training_it_is_keras_on_each_part(batch, virtual, shape):
    x = inputs(batch, *shape)
    layer = GhostBatchNormalization(virtual, momentum=0.9)
    wanted, mean, variance = peer_on(chunks(x, virtual))
    np.testing.assert_allclose(array(layer(x, training=True)), wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(array(layer.moving_mean), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(array(layer.moving_variance), variance, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axis", [1, -3])
def test_channels_first(axis):
    x = inputs(7, 3, 4, 2)
    layer = GhostBatchNormalization(3, axis=axis, momentum=0.9)
    wanted, mean, variance = peer_on(chunks(x, 3), axis=axis)
    np.testing.assert_allclose(array(layer(x, training=True)), wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(array(layer.moving_mean), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(array(layer.moving_variance), variance, rtol=1e-4, atol=1e-5)


def test_five_samples_in_parts_of_two_by_hand():
    # 1, 3 | 10, 30 | 7: means 2, 20, 7, deviations 1, 10, 0.
    x = np.array([[1.0], [3.0], [10.0], [30.0], [7.0]], np.float32)
    layer = GhostBatchNormalization(2, momentum=0.5, epsilon=1e-6)
    np.testing.assert_allclose(array(layer(x, training=True))[:, 0], [-1, 1, -1, 1, 0], atol=1e-4)
    assert float(array(layer.moving_mean)[0]) == pytest.approx(0.5 * 0 + 0.5 * 29 / 3)
    assert float(array(layer.moving_variance)[0]) == pytest.approx(0.5 * 1 + 0.5 * 101 / 3)


@pytest.mark.parametrize("virtual", [12, 13, 128])
def test_a_part_that_holds_the_batch_is_plain_batch_normalization(virtual):
    x = inputs(12, 2, 4, 3)
    layer, peer = GhostBatchNormalization(virtual), keras.layers.BatchNormalization()
    for scale in (1.0, -2.0):
        np.testing.assert_allclose(
            array(layer(scale * x, training=True)), array(peer(scale * x, training=True)), rtol=1e-4, atol=1e-5
        )
    for left, right in zip(layer.get_weights(), peer.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


def test_the_parts_are_normalized_apart():
    x = inputs(12, 3)
    y = np.float64(array(GhostBatchNormalization(4, epsilon=1e-7)(x, training=True)))
    for part in np.split(y, 3):
        np.testing.assert_allclose(part.mean(axis=0), 0.0, atol=1e-5)
        np.testing.assert_allclose(part.std(axis=0), 1.0, rtol=1e-4)
    # One sample changed changes its own part only.
    other = x.copy()
    other[5] += 100.0
    z = array(GhostBatchNormalization(4, epsilon=1e-7)(other, training=True))
    assert (z[:4] == y[:4]).all() and (z[8:] == y[8:]).all() and (np.abs(z[4:8] - y[4:8]) > 0.1).all()


def test_at_inference_it_is_keras_with_the_same_weights():
    x = inputs(7, 2, 4, 3)
    layer, peer = GhostBatchNormalization(2), keras.layers.BatchNormalization()
    generator = np.random.default_rng(3)
    for one in (layer, peer):
        one.build(x.shape)
    weights = [generator.uniform(0.5, 2.0, size=variable.shape) for variable in layer.weights]
    layer.set_weights(weights)
    peer.set_weights(weights)
    for options in ({}, {"training": False}):
        np.testing.assert_allclose(array(layer(x, **options)), array(peer(x)), rtol=1e-4, atol=1e-5)
    layer.trainable = False
    np.testing.assert_allclose(array(layer(x, training=True)), array(peer(x)), rtol=1e-4, atol=1e-5)
    for left, right in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(left, right.astype(np.float32))


@pytest.mark.parametrize(("batch", "virtual"), [(8, 4), (7, 3), (5, 4)])
def test_gradients_are_those_of_torch_on_each_part(batch, virtual):
    torch = pytest.importorskip("torch")
    x, targets = inputs(batch, 2, 4, 3), np.random.default_rng(7).normal(size=(batch, 2, 4, 3))
    layer = GhostBatchNormalization(virtual)
    layer.build(x.shape)
    gamma = np.array([0.5, 1.0, 2.0])
    layer.gamma.assign(gamma)

    def loss(x):
        return layer(x, training=True) * keras.ops.convert_to_tensor(targets, "float32")

    _, (of_inputs,), of_weights = differentiated(loss, [x], [layer.gamma, layer.beta])
    leaf = torch.tensor(np.float64(x), requires_grad=True)
    scale, offset = torch.tensor(gamma, requires_grad=True), torch.zeros(3, dtype=torch.float64, requires_grad=True)
    outputs = [
        torch.nn.functional.batch_norm(part.movedim(-1, 1), None, None, scale, offset, True, eps=1e-3).movedim(1, -1)
        for part in torch.chunk(leaf, math.ceil(batch / virtual))
    ]
    (torch.cat(outputs) * torch.tensor(targets)).sum().backward()
    for found, wanted in zip([of_inputs, *of_weights], [leaf.grad, scale.grad, offset.grad], strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-3, atol=1e-3)


def model_of(layer, shape=(2, 4, 3)):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), layer, keras.layers.Flatten(), keras.layers.Dense(1)])


@pytest.mark.parametrize("jit_compile", JITS)
def test_fit_with_a_smaller_last_batch(jit_compile):
    # 14 samples are batches of 6, 6 and 2; on TensorFlow the second trace knows no batch size.
    x = inputs(14, 2, 4, 3)
    layer = GhostBatchNormalization(4, momentum=0.9)
    model = model_of(layer)
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=jit_compile)
    targets = np.zeros((14, 1), np.float32)
    history = model.fit(x, targets, batch_size=6, epochs=2, shuffle=False, verbose=0).history
    mean, variance, loss = np.zeros(3), np.ones(3), []
    kernel = np.float64(model.layers[-1].get_weights()[0])
    for part in [x[:6], x[6:12], x[12:]] * 2:
        normalized, its_mean, its_variance = peer_on(chunks(part, 4), momentum=0.0)
        mean, variance = 0.9 * mean + 0.1 * its_mean, 0.9 * variance + 0.1 * its_variance
        loss.extend((normalized.reshape(len(part), -1) @ kernel).ravel() ** 2)
    np.testing.assert_allclose(array(layer.moving_mean), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(array(layer.moving_variance), variance, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(history["loss"], [np.mean(loss[:14])] * 2, rtol=1e-4)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow traces without sizes")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_sizes_that_are_unknown_while_tensorflow_traces(jit_compile):
    import tensorflow as tf

    layer = GhostBatchNormalization(2, momentum=0.9)
    layer.build((None, None, None, 3))
    traced = tf.function(
        lambda x: layer(x, training=True),
        input_signature=[tf.TensorSpec((None, None, None, 3))],
        jit_compile=jit_compile,
    )
    for batch in (5, 4, 1, 2):
        x = inputs(batch, 2, 4, 3, seed=batch)
        wanted, _, _ = peer_on(chunks(x, 2))
        np.testing.assert_allclose(traced(x).numpy(), wanted, rtol=1e-3, atol=1e-4)
    assert traced.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_computes_in_float32(policy):
    x = np.random.default_rng(0).normal(300.0, 40.0, size=(10, 50, 3)).astype(np.float32)
    half = policy.removeprefix("mixed_")
    halved = array(keras.ops.cast(x, half))
    layer = GhostBatchNormalization(4, dtype=policy, momentum=0.0)
    outputs = layer(x, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == half
    wanted, mean, variance = peer_on(chunks(halved, 4), momentum=0.0)
    np.testing.assert_allclose(array(outputs), wanted, atol=0.02)
    np.testing.assert_allclose(array(layer.moving_mean), mean, rtol=1e-4)
    np.testing.assert_allclose(array(layer.moving_variance), variance, rtol=1e-3)


def test_it_is_saved_and_loaded(tmp_path):
    layer = GhostBatchNormalization(3, axis=1, momentum=0.8, epsilon=0.01, scale=False, name="own")
    model = model_of(layer)
    x = inputs(8, 2, 4, 3)
    model(x, training=True)
    loaded = reloaded(model, tmp_path)
    own = loaded.get_layer("own")
    assert type(own) is GhostBatchNormalization and own.get_config() == layer.get_config()
    assert (own.virtual_batch_size, own.axis, own.momentum, own.epsilon, own.scale) == (3, 1, 0.8, 0.01, False)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    np.testing.assert_array_equal(array(loaded(x, training=True)), array(model(x, training=True)))


def test_recalibrate_finds_it():
    x = inputs(12, 3)
    layer = GhostBatchNormalization(4)
    model = keras.Sequential([keras.Input((3,)), layer])
    assert recalibrate(model, x, batch_size=12) == 1
    parts = np.split(np.float64(x), 3)
    np.testing.assert_allclose(array(layer.moving_mean), np.mean([p.mean(axis=0) for p in parts], axis=0), rtol=1e-4)
    np.testing.assert_allclose(array(layer.moving_variance), np.mean([p.var(axis=0) for p in parts], axis=0), rtol=1e-4)


@pytest.mark.parametrize("value", [0, -1, 2.0, True, None, "128"], ids=repr)
def test_a_size_out_of_range_is_refused(value):
    with pytest.raises(InputError) as error:
        GhostBatchNormalization(value)
    assert str(error.value) == (
        f"`virtual_batch_size` must be a whole number >= 1. Received: virtual_batch_size={value!r}."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.5}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=1.5."),
        ({"epsilon": 0}, "`epsilon` must be a number > 0. Received: epsilon=0."),
        ({"renorm": True}, "`renorm` is for keras.layers.BatchNormalization only. Received: renorm=True."),
        (
            {"synchronized": True},
            "`synchronized` is for keras.layers.BatchNormalization only. Received: synchronized=True.",
        ),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        GhostBatchNormalization(2, **arguments)
    assert str(error.value) == message


def test_a_mask_is_refused():
    with pytest.raises(
        InputError, match=r"GhostBatchNormalization takes no mask. Use keras.layers.BatchNormalization."
    ):
        GhostBatchNormalization(2)(inputs(6, 5, 3), mask=np.ones((6, 5), bool))
