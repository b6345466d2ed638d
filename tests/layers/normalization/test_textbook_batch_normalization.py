"""Batch normalization with epsilon beside the deviation: against NumPy, Keras's own and torch, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, differentiated, reloaded

from kerastrain._core.errors import InputError
from kerastrain.layers import TextbookBatchNormalization, recalibrate

pytestmark = pytest.mark.backend

ROWS = np.random.default_rng(0).normal([1.0, -20.0, 0.0], [1.0, 5.0, 0.01], size=(16, 3)).astype(np.float32)
IMAGES = np.random.default_rng(1).normal(2.0, [1.0, 5.0, 0.01], size=(6, 4, 5, 3)).astype(np.float32)
FIRST = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1))  # Channels first.
SEQUENCES = np.ascontiguousarray(IMAGES[:, 0])
INPUTS = pytest.mark.parametrize(
    ("x", "axis"),
    [(ROWS, -1), (ROWS, 1), (IMAGES, -1), (IMAGES, 3), (FIRST, 1), (FIRST, -3), (SEQUENCES, 2)],
    ids=["rows", "rows 1", "images", "images 3", "channels first", "channels -3", "sequences"],
)


def by_formula(x, axis, epsilon, gamma=1.0, beta=0.0, statistics=None):
    """(x - mu) / (sigma + epsilon), in float64, with the channels put last and back."""
    last = np.moveaxis(np.float64(x), axis, -1)
    rows = last.reshape(-1, last.shape[-1])
    mean, deviation = (rows.mean(axis=0), rows.std(axis=0)) if statistics is None else statistics
    return np.moveaxis(gamma * (last - mean) / (deviation + epsilon) + beta, -1, axis)


def randomized(layer, shape):
    """The layer with other weights than it starts with."""
    layer.build(shape)
    generator = np.random.default_rng(5)
    weights = [generator.uniform(0.5, 2.0, size=variable.shape) for variable in layer.weights]
    layer.set_weights(weights)
    return dict(zip((variable.name for variable in layer.weights), weights, strict=True))


@INPUTS
@pytest.mark.parametrize("epsilon", [1e-3, 0.5])
def test_in_training_it_is_the_formula_on_the_batch(x, axis, epsilon):
    layer = TextbookBatchNormalization(axis=axis, epsilon=epsilon)
    weights = randomized(layer, x.shape)
    wanted = by_formula(x, axis, epsilon, weights["gamma"], weights["beta"])
    np.testing.assert_allclose(array(layer(x, training=True)), wanted, rtol=1e-4, atol=1e-4)
    # Keras's own has it inside the root, which the third channel, of deviation 0.01, tells.
    peer = keras.layers.BatchNormalization(axis=axis, epsilon=epsilon)
    randomized(peer, x.shape)
    assert np.abs(array(peer(x, training=True)) - wanted).max() > 0.1


@INPUTS
def test_at_inference_it_is_the_formula_on_the_moving_statistics(x, axis):
    layer = TextbookBatchNormalization(axis=axis, epsilon=0.1)
    weights = randomized(layer, x.shape)
    statistics = weights["moving_mean"], np.sqrt(weights["moving_variance"])
    wanted = by_formula(x, axis, 0.1, weights["gamma"], weights["beta"], statistics)
    for options in ({"training": False}, {}):
        np.testing.assert_allclose(array(layer(x, **options)), wanted, rtol=1e-4, atol=1e-4)
    assert {name: value.tolist() for name, value in zip(weights, layer.get_weights(), strict=True)} == {
        name: value.astype(np.float32).tolist() for name, value in weights.items()
    }


@INPUTS
@pytest.mark.parametrize("momentum", [0.99, 0.5, 0.0, 1.0])
def test_the_moving_statistics_are_those_of_keras(x, axis, momentum):
    layer, peer = (
        kind(axis=axis, momentum=momentum) for kind in (TextbookBatchNormalization, keras.layers.BatchNormalization)
    )
    for scale in (1.0, 3.0, -2.0):
        layer(scale * x, training=True)
        peer(scale * x, training=True)
    # Absolute for the third channel: on torch Keras's variance of it has three digits.
    np.testing.assert_allclose(array(layer.moving_mean), array(peer.moving_mean), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(array(layer.moving_variance), array(peer.moving_variance), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_center_and_scale(center, scale):
    layer = TextbookBatchNormalization(center=center, scale=scale, epsilon=0.1)
    weights = randomized(layer, ROWS.shape)
    assert list(weights) == ["gamma"] * scale + ["beta"] * center + ["moving_mean", "moving_variance"]
    wanted = by_formula(ROWS, -1, 0.1, weights.get("gamma", 1.0), weights.get("beta", 0.0))
    np.testing.assert_allclose(array(layer(ROWS, training=True)), wanted, rtol=1e-4, atol=1e-4)


def test_frozen_it_infers_and_stays():
    layer = TextbookBatchNormalization(epsilon=0.1, trainable=False)
    weights = randomized(layer, ROWS.shape)
    before = [array(variable) for variable in layer.weights]
    statistics = weights["moving_mean"], np.sqrt(weights["moving_variance"])
    wanted = by_formula(ROWS, -1, 0.1, weights["gamma"], weights["beta"], statistics)
    np.testing.assert_allclose(array(layer(ROWS, training=True)), wanted, rtol=1e-4, atol=1e-4)
    assert layer.trainable_variables == []
    for left, right in zip(before, layer.weights, strict=True):
        np.testing.assert_array_equal(left, array(right))


def test_gradients_are_those_of_torch():
    torch = pytest.importorskip("torch")
    layer = TextbookBatchNormalization(epsilon=0.1)
    weights = randomized(layer, IMAGES.shape)
    # Weighted by numbers of its own, for the plain sum of normalized inputs has no gradient.
    targets = np.random.default_rng(7).normal(size=IMAGES.shape)

    def loss(x):
        return layer(x, training=True) * keras.ops.convert_to_tensor(targets, "float32")

    _, (of_inputs,), of_weights = differentiated(loss, [IMAGES], [layer.gamma, layer.beta])
    x = torch.tensor(np.float64(IMAGES), requires_grad=True)
    gamma, beta = (torch.tensor(weights[name], requires_grad=True) for name in ("gamma", "beta"))
    mean, deviation = x.mean(dim=(0, 1, 2)), x.std(dim=(0, 1, 2), correction=0)
    (((x - mean) / (deviation + 0.1) * gamma + beta) * torch.tensor(targets)).sum().backward()
    for found, wanted in zip([of_inputs, *of_weights], [x.grad, gamma.grad, beta.grad], strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-3, atol=1e-3)


def test_a_channel_that_does_not_vary_has_finite_gradients():
    # A filter behind a ReLU that never fires: its deviation is 0, where the root has no slope.
    x = np.column_stack([ROWS[:, 0], np.zeros(16), np.full(16, 3.0)]).astype(np.float32)
    layer = TextbookBatchNormalization(epsilon=0.5)
    targets = np.random.default_rng(7).normal(size=x.shape).astype(np.float32)
    outputs, (of_inputs,), _ = differentiated(
        lambda inputs: layer(inputs, training=True) * keras.ops.convert_to_tensor(targets), [x]
    )
    np.testing.assert_allclose(outputs[:, 1:], 0.0, atol=1e-5)
    # With sigma = 0 what is left is (x - mu) / epsilon.
    np.testing.assert_allclose(of_inputs[:, 1:], (targets - targets.mean(axis=0))[:, 1:] / 0.5, rtol=1e-3, atol=1e-4)
    assert np.isfinite(of_inputs).all()


def test_a_mean_far_above_the_deviation_does_not_cancel():
    # Sixteenths around 1,000, which float32 holds exactly: of E[x^2] - E[x]^2, millions, no digit would be left.
    sixteenths = np.random.default_rng(0).integers(-16, 17, size=(256, 1)) / 16
    x = np.column_stack([1000 + sixteenths, np.full((256, 1), 1000.0)]).astype(np.float32)
    layer = TextbookBatchNormalization(momentum=0.0)
    np.testing.assert_allclose(array(layer(x, training=True)), by_formula(x, -1, 1e-3), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(array(layer.moving_variance), [np.var(sixteenths), 0.0], rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_computes_in_float32(policy):
    # 300 squared is infinite in float16, and bfloat16 has one digit of it.
    x = np.random.default_rng(0).normal(300.0, 40.0, size=(64, 3)).astype(np.float32)
    halved = array(keras.ops.cast(x, policy.removeprefix("mixed_")))
    layer = TextbookBatchNormalization(dtype=policy, momentum=0.0)
    outputs = layer(x, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    assert {keras.backend.standardize_dtype(variable.dtype) for variable in layer.weights} == {"float32"}
    np.testing.assert_allclose(array(outputs), by_formula(halved, -1, 1e-3), atol=0.02)
    np.testing.assert_allclose(array(layer.moving_variance), np.float64(halved).var(axis=0), rtol=1e-3)


def model_of(layer):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="first"), layer, keras.layers.Dense(1)])


@pytest.mark.parametrize("jit_compile", JITS[-1:])
def test_a_model_with_it_trains_and_is_saved(jit_compile, tmp_path):
    model = model_of(TextbookBatchNormalization(epsilon=0.2, momentum=0.9, axis=1, center=False, name="own"))
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=jit_compile)
    losses = model.fit(ROWS, ROWS[:, :1], epochs=6, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    loaded = reloaded(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict(ROWS, verbose=0), model.predict(ROWS, verbose=0))
    own = loaded.get_layer("own")
    assert type(own) is TextbookBatchNormalization
    assert (own.epsilon, own.momentum, own.axis, own.center) == (0.2, 0.9, 1, False)
    assert own.get_config() == model.get_layer("own").get_config()


def test_the_config_takes_the_arguments_of_keras():
    layer = TextbookBatchNormalization(
        gamma_initializer="zeros", beta_regularizer="l2", gamma_constraint="non_neg", moving_mean_initializer="ones"
    )
    again = TextbookBatchNormalization.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again.build((None, 2))
    assert array(again.gamma).tolist() == [0.0, 0.0] and array(again.moving_mean).tolist() == [1.0, 1.0]
    known = set(keras.layers.BatchNormalization().get_config())
    assert known - set(layer.get_config()) <= {"renorm", "renorm_clipping", "renorm_momentum", "synchronized"}


def test_recalibrate_finds_it():
    layer = TextbookBatchNormalization(name="own")
    model = model_of(layer)
    assert recalibrate(model, ROWS, batch_size=8) == 1
    kernel, bias = model.get_layer("first").get_weights()
    hidden = [np.float64(part) @ kernel + bias for part in np.split(ROWS, 2)]
    np.testing.assert_allclose(array(layer.moving_mean), np.mean([h.mean(axis=0) for h in hidden], axis=0), rtol=1e-4)
    np.testing.assert_allclose(
        array(layer.moving_variance), np.mean([h.var(axis=0) for h in hidden], axis=0), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.1}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=1.1."),
        ({"momentum": -0.1}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=-0.1."),
        ({"momentum": None}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=None."),
        ({"epsilon": 0.0}, "`epsilon` must be a number > 0. Received: epsilon=0.0."),
        ({"epsilon": "small"}, "`epsilon` must be a number > 0. Received: epsilon='small'."),
        ({"renorm": True}, "`renorm` is for keras.layers.BatchNormalization only. Received: renorm=True."),
        (
            {"renorm_clipping": {"rmax": 3}},
            "`renorm_clipping` is for keras.layers.BatchNormalization only. Received: renorm_clipping={'rmax': 3}.",
        ),
        (
            {"renorm_momentum": 0.9},
            "`renorm_momentum` is for keras.layers.BatchNormalization only. Received: renorm_momentum=0.9.",
        ),
        (
            {"synchronized": True},
            "`synchronized` is for keras.layers.BatchNormalization only. Received: synchronized=True.",
        ),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        TextbookBatchNormalization(**arguments)
    assert str(error.value) == message


def test_a_mask_is_refused():
    inputs = keras.Input((5, 3))
    with pytest.raises(InputError, match=r"TextbookBatchNormalization takes no mask\. Use keras"):
        TextbookBatchNormalization()(SEQUENCES, mask=np.ones((6, 5), bool))
    with pytest.raises(InputError, match="TextbookBatchNormalization takes no mask"):
        keras.Model(inputs, TextbookBatchNormalization()(keras.layers.Masking()(inputs))).predict(SEQUENCES, verbose=0)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.function")
def test_a_batch_of_unknown_size_while_tensorflow_traces():
    import tensorflow as tf

    layer = TextbookBatchNormalization()
    layer.build((None, None, None, 3))
    traced = tf.function(lambda x: layer(x, training=True), input_signature=[tf.TensorSpec((None, None, None, 3))])
    np.testing.assert_allclose(traced(IMAGES).numpy(), by_formula(IMAGES, -1, 1e-3), rtol=1e-4, atol=1e-4)
