"""Every registered part by its formula or in a forward pass, and what is refused."""

import keras
import numpy as np
import pytest
from scipy.stats import norm

from kerastrain._core.errors import InputError
from kerastrain.topologies import (
    ACTIVATIONS,
    DROPOUTS,
    INITIALIZERS,
    NORMALIZATIONS,
    REGULARIZERS,
    convnet,
    mlp_functional,
    multi_input,
    residual,
)
from kerastrain.topologies.components import activation, dropout, initializer, normalization, regularizer

X = np.linspace(-3, 3, 24, dtype=np.float32).reshape(4, 6)
IMAGES = np.random.default_rng(0).random((4, 4, 4, 3)).astype(np.float32)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _selu(x):
    return 1.05070098 * np.where(x > 0, x, 1.67326324 * np.expm1(x))


FORMULAS = {
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "exponential": np.exp,
    "gelu": lambda x: x * norm.cdf(x),
    "fused_gelu": lambda x: x * norm.cdf(x),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.3 * x),
    "log_sigmoid": lambda x: np.log(_sigmoid(x)),
    "maxout": lambda x: np.maximum(x[:, :3], x[:, 3:]),  # features k and k + units are one unit's
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": _selu,
    "sigmoid": _sigmoid,
    "silu": lambda x: x * _sigmoid(x),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "stochastic_gelu": lambda x: x * norm.cdf(x),  # at inference
    "tanh": np.tanh,
    "tanh_shrink": lambda x: x - np.tanh(x),
}
REQUIRED = {
    **{name: {"rate": 0.5} for name in DROPOUTS.names()},
    **{name: {"strength": 5.0, "samples": 1000} for name in ("l1_textbook", "l2_textbook")},
}
FOR_IMAGES = ("spatial", "drop_block", "dirac")


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_activations_are_their_formulas(name):
    layer = activation(name, "here")
    assert layer.name == "here"
    # Keras computes GELU's error function in float32.
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(X)), FORMULAS[name](X.astype(np.float64)), atol=2e-6)


@pytest.mark.parametrize(
    ("argument", "kind"),
    [
        *[("activation", kind) for kind in ACTIVATIONS.names()],
        *[("initializer", kind) for kind in INITIALIZERS.names() if kind not in FOR_IMAGES],
        *[("normalization", kind) for kind in NORMALIZATIONS.names()],
        *[("dropout", kind) for kind in DROPOUTS.names() if kind not in FOR_IMAGES],
        *[("regularizer", kind) for kind in REGULARIZERS.names()],
    ],
)
def test_every_part_builds_and_runs_in_an_mlp(argument, kind):
    value = {"type": kind, **REQUIRED.get(kind, {})}
    model = mlp_functional(layers=[8, 8], input_shape=(4, 4, 3), classes=3, seed=0, **{argument: value})
    outputs = keras.ops.convert_to_numpy(model(IMAGES, training=True))
    assert np.all(np.isfinite(outputs))
    assert outputs.shape == (4, 3)
    if argument == "regularizer":
        assert float(sum(model.losses)) > 0


@pytest.mark.parametrize(
    "kind", NORMALIZATIONS.names() + DROPOUTS.names() + ["prelu", "l1", "l2", "l1_l2", "dirac", "lsuv"]
)
def test_parts_build_and_run_in_convolutional_networks(kind):
    value = {"type": kind, **REQUIRED.get(kind, {})}
    registries = {
        "normalization": NORMALIZATIONS,
        "dropout": DROPOUTS,
        "activation": ACTIVATIONS,
        "initializer": INITIALIZERS,
        "regularizer": REGULARIZERS,
    }
    argument = next(argument for argument, registry in registries.items() if kind in registry)
    model = residual(depth=8, width=8, input_shape=(4, 4, 3), classes=3, seed=0, **{argument: value})
    assert np.all(np.isfinite(keras.ops.convert_to_numpy(model(IMAGES, training=True))))


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("glorot_normal", 2 / (400 + 300)),
        ("glorot_uniform", 2 / (400 + 300)),
        ("he_normal", 2 / 400),
        ("he_uniform", 2 / 400),
        ("lecun_normal", 1 / 400),
        ("lecun_uniform", 1 / 400),
        ({"type": "variance_scaling", "scale": 3.0, "mode": "fan_out"}, 3 / 300),
        ({"type": "random_normal", "stddev": 0.2}, 0.04),
        ({"type": "random_uniform", "minval": -0.3, "maxval": 0.3}, 0.6**2 / 12),
        ({"type": "orthogonal", "gain": 2.0}, 4 / 400),
    ],
)
def test_initializers_have_their_variance(name, variance):
    values = keras.ops.convert_to_numpy(initializer(name, "w", 0)((400, 300)))
    assert abs(values.mean()) < 4 * np.sqrt(variance / values.size)
    # 120,000 draws: the variance of a normal sample is within 4 * sqrt(2 / 120,000) = 1.6 % of the true one.
    np.testing.assert_allclose(values.var(), variance, rtol=0.02)


def test_constant_initializers_and_regularizers_are_their_formulas():
    for name, expected in (("zeros", 0.0), ("ones", 1.0), ({"type": "constant", "value": 0.7}, 0.7)):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(initializer(name, "w")((2, 3))), expected, rtol=1e-6)
    w = np.array([[1.0, -2.0], [3.0, 0.5]], dtype=np.float32)
    # sum |w| = 6.5, sum w^2 = 14.25
    for value, expected in (
        (0.1, 1.425),
        ({"type": "l2", "rate": 0.2}, 2.85),
        ({"type": "l1", "rate": 0.2}, 1.3),
        ({"type": "l1_l2", "l1": 0.1, "l2": 0.2}, 0.65 + 2.85),
    ):
        np.testing.assert_allclose(float(regularizer(value, "w")(w)), expected, rtol=1e-6)


def test_seeds_differ_by_weight_and_repeat():
    draws = [
        keras.ops.convert_to_numpy(initializer("he_normal", name, seed)((3, 3)))
        for name, seed in (("a", 0), ("a", 0), ("b", 0))
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.any(draws[0] == draws[2])
    masks = [
        keras.ops.convert_to_numpy(dropout(0.5, name, 0)(np.ones((8, 8)), training=True)) for name in ("a", "a", "b")
    ]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert np.any(masks[0] != masks[2])


def test_keras_initializers_are_copied_and_keep_a_seed_of_their_own():
    unseeded, seeded = keras.initializers.HeNormal(), keras.initializers.HeNormal(seed=5)
    names = [("a", 1), ("b", 1), ("a", 1)]
    a, b, again = (keras.ops.convert_to_numpy(initializer(unseeded, name, seed)((3, 3))) for name, seed in names)
    np.testing.assert_array_equal(a, again)
    assert not np.array_equal(a, b)
    expected = keras.ops.convert_to_numpy(seeded((3, 3)))
    for name, seed in names:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(initializer(seeded, name, seed)((3, 3))), expected)


def test_keras_objects_are_taken():
    penalty = keras.regularizers.L2(0.5)
    model = mlp_functional(
        layers=[4],
        activation=keras.activations.gelu,
        initializer=keras.initializers.Ones(),
        regularizer=penalty,
        input_shape=(2, 2, 1),
        classes=2,
    )
    # Kernels of ones: 0.5 * (4 * 4 + 4 * 2) = 12.
    np.testing.assert_allclose(float(sum(model.losses)), 12.0)
    hidden = model.get_layer("layer1_activation")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(hidden(X)), FORMULAS["gelu"](X), atol=2e-6)


def test_learned_slopes_are_per_channel():
    model = convnet(widths=[4], blocks=1, activation="prelu", input_shape=(8, 8, 3))
    assert model.get_layer("stage1_activation1").alpha.shape == (1, 1, 4)


@pytest.mark.parametrize(("kind", "bias"), [("batch", False), ("unit", True), (None, True)])
def test_a_bias_is_left_out_where_normalization_adds_one(kind, bias):
    model = convnet(widths=[4], blocks=1, normalization=kind, input_shape=(8, 8, 3))
    assert model.get_layer("stage1_convolution1").use_bias is bias
    model = mlp_functional(layers=[4], normalization=kind, input_shape=(8, 8, 3))
    assert model.get_layer("layer1_dense").use_bias is bias


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: activation("rely", "a"), "`activation`: .*Did you mean `relu`"),
        (lambda: activation({"type": "elu", "alpha": -1.0}, "a"), "alpha"),
        (lambda: activation({"type": "gelu", "slope": 1.0}, "a"), "slope"),
        (lambda: activation(keras.layers.ReLU(name="mine"), "a"), "the layer `mine`, which every place would share"),
        (lambda: activation(keras.layers.ReLU, "a"), "expected the name"),
        (lambda: activation(3, "a"), "expected the name"),
        (lambda: dropout(1.5, "d"), "`dropout`"),
        (lambda: dropout(1, "d"), "`dropout`"),
        (lambda: dropout("dropout", "d"), "rate"),
        (lambda: dropout(True, "d"), "expected the name"),
        (lambda: dropout(keras.layers.Dropout(0.5), "d"), "would share"),
        (lambda: dropout({"type": "spatial", "rate": 0.1}, "d"), "feature maps"),
        (lambda: normalization("bach", "n", channels=4), "Did you mean `batch`"),
        (lambda: normalization({"type": "batch", "momentum": 1.0}, "n", channels=4), "momentum"),
        (lambda: normalization({"type": "group", "groups": 3}, "n", channels=4), "must divide the 4 features"),
        (lambda: normalization(keras.layers.BatchNormalization(), "n", channels=4), "would share"),
        (lambda: initializer("he", "w"), "`initializer`"),
        (lambda: initializer(None, "w"), "`initializer`"),
        (lambda: initializer({"type": "variance_scaling", "mode": "fan"}, "w"), "mode"),
        (lambda: initializer({"type": "he_normal", "seed": 1}, "w"), "seed"),
        (lambda: regularizer(-0.1, "w"), "`regularizer`"),
        (lambda: regularizer({"type": "l3"}, "w"), "`regularizer`"),
        (lambda: convnet(regularizer="orthogonal"), "matrices only"),
        (lambda: mlp_functional(dropout={"type": "spatial", "rate": 0.1}), "feature maps"),
    ],
)
def test_parts_are_refused_with_their_argument(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_dropout_of_feature_maps_stays_in_the_image_branch():
    model = multi_input(widths=[4], blocks=1, dropout={"type": "spatial", "rate": 0.5}, input_shape=(4, 4, 3))
    assert [layer.name for layer in model.layers if "dropout" in layer.name] == ["stage1_dropout"]


def test_the_layer_in_front_of_maxout_is_wider():
    model = convnet(
        widths=[4, 6],
        blocks=1,
        activation={"type": "maxout", "pieces": 3},
        normalization="batch",
        input_shape=(8, 8, 3),
    )
    shapes = {layer.name: layer.output.shape[-1] for layer in model.layers}
    assert (shapes["stage1_convolution1"], shapes["stage1_normalization1"], shapes["stage1_activation1"]) == (12, 12, 4)
    assert shapes["stage2_convolution1"] == 18 and shapes["global_pooling"] == 6
    dense = mlp_functional(layers=[5], activation="maxout", input_shape=(4, 4, 3))
    assert dense.get_layer("layer1_dense").units == 10 and dense.get_layer("layer1_activation").output.shape[-1] == 5
    with pytest.raises(InputError, match="`maxout` leaves fewer features than it gets"):
        residual(depth=8, activation="maxout")


def test_approximations_of_gelu_have_a_layer_of_ours_and_the_exact_one_is_keras():
    assert type(activation("gelu", "here")) is keras.layers.Activation
    sigmoid = activation({"type": "gelu", "approximate": "sigmoid"}, "here")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(sigmoid(X)), X * _sigmoid(1.702 * X), atol=1e-6)


def test_drop_connect_is_around_every_hidden_layer():
    model = convnet(widths=[4, 6], blocks=1, dropout={"type": "drop_connect", "rate": 0.5}, input_shape=(8, 8, 3))
    names = [layer.name for layer in model.layers]
    assert "stage1_convolution1_drop_connect" in names and "stage2_convolution1_drop_connect" in names
    assert "head" in names and not any("dropout" in name for name in names)
    paths = [weight.path for weight in model.trainable_weights]
    assert "stage1_convolution1_drop_connect/stage1_convolution1/kernel" in paths
    images = np.random.default_rng(0).random((4, 8, 8, 3)).astype(np.float32)
    first, second = (keras.ops.convert_to_numpy(model(images, training=True)) for _ in range(2))
    assert (first != second).any()
    plain = convnet(widths=[4, 6], blocks=1, input_shape=(8, 8, 3))
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(images)), keras.ops.convert_to_numpy(plain(images)), rtol=1e-6
    )


def test_dirac_is_the_identity_in_convolutions_and_pytorchs_default_in_the_head():
    model = convnet(widths=[8, 8], blocks=1, initializer="dirac", input_shape=(8, 8, 3), seed=0)
    kernel = model.get_layer("stage2_convolution1").get_weights()[0]
    expected = np.zeros((3, 3, 8, 8))
    expected[1, 1] = np.eye(8)
    np.testing.assert_array_equal(kernel, expected)
    first, head = (model.get_layer(name).get_weights()[0] for name in ("stage1_convolution1", "head"))
    np.testing.assert_array_equal(first[1, 1, :, :3], np.eye(3))
    assert 0.15 < np.abs(first[..., 3:]).max() <= 27**-0.5 and 0.3 < np.abs(head).max() <= 8**-0.5
    with pytest.raises(InputError, match="`dirac` is for convolutions, and `layer1_dense/kernel` is none"):
        mlp_functional(layers=[4], initializer="dirac")


def test_zero_gamma_makes_every_block_the_identity_at_the_start():
    images = np.random.default_rng(0).random((4, 8, 8, 3)).astype(np.float32)
    model = residual(depth=8, width=4, zero_gamma=True, input_shape=(8, 8, 3), seed=0)
    for layer in model.layers:
        if layer.name.endswith("normalization2"):
            assert not layer.get_weights()[0].any()
    # A block whose branch is 0 hands on what a ReLU has made non-negative before.
    before, after = (model.get_layer(name).output for name in ("stem_activation1", "stage1_block1_activation2"))
    left, right = keras.Model(model.inputs, [before, after])(images)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(left), keras.ops.convert_to_numpy(right))
    with pytest.raises(InputError, match="`zero_gamma` needs a `normalization` with a scale"):
        residual(depth=8, zero_gamma=True, normalization=None)


def test_stochastic_depth_rises_with_the_block():
    model = residual(depth=14, width=4, stochastic_depth=0.3, input_shape=(8, 8, 3))
    rates = [layer.rate for layer in model.layers if layer.name.endswith("stochastic_depth")]
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.15, 0.2, 0.25, 0.3])
    assert not any("stochastic" in layer.name for layer in residual(depth=8, width=4).layers)
