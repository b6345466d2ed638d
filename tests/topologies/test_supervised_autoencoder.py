"""The autoencoder that classifies: against NumPy from its formula, and what weight 0 leaves."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.topologies import mlp_functional, supervised_autoencoder

IMAGES = np.random.default_rng(0).normal(size=(4, 2, 2, 3)).astype(np.float32)
LABELS = np.array([0, 2, 1, 1])


def made(**arguments):
    return supervised_autoencoder(
        units=[6, 5], activation="tanh", input_shape=(2, 2, 3), classes=3, seed=0, **arguments
    )


def loss(model):
    model.compile(loss="sparse_categorical_crossentropy")
    return model.evaluate(IMAGES, LABELS, verbose=0)


def test_loss_and_outputs_are_the_formulas():
    model = made(reconstruction_weight=0.3)
    generator = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(generator.normal(size=weight.shape, scale=0.5))
    found = {weight.path: keras.ops.convert_to_numpy(weight).astype(np.float64) for weight in model.weights}
    (w1, b1, c1), (w2, b2, c2) = (
        [found[f"layer{n}_tied/{name}"] for name in ("kernel", "bias", "transpose_bias")] for n in (1, 2)
    )
    x = IMAGES.reshape(4, 12).astype(np.float64)
    code = np.tanh(np.tanh(x @ w1 + b1) @ w2 + b2)
    back = np.tanh(code @ w2.T + c2) @ w1.T + c1
    logits = code @ found["head/kernel"] + found["head/bias"]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(IMAGES)), probabilities, rtol=1e-5)
    wanted = -np.log(probabilities[np.arange(4), LABELS]).mean() + 0.3 * ((x - back) ** 2).mean()
    np.testing.assert_allclose(loss(model), wanted, rtol=1e-5)


def test_weight_0_is_the_mlp_with_the_same_weights():
    model, mlp = (
        made(reconstruction_weight=0),
        mlp_functional(layers=[6, 5], activation="tanh", input_shape=(2, 2, 3), classes=3),
    )
    names = [
        "layer1_tied/kernel",
        "layer1_tied/bias",
        "layer2_tied/kernel",
        "layer2_tied/bias",
        "head/kernel",
        "head/bias",
    ]
    found = {weight.path: weight for weight in model.weights}
    mlp.set_weights([keras.ops.convert_to_numpy(found[name]) for name in names])
    np.testing.assert_allclose(loss(model), loss(mlp), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "maxout"}, "has no transpose"),
        ({"dropout": {"type": "drop_connect", "rate": 0.1}}, "one of its two places"),
        ({"reconstruction_weight": -1.0}, "number >= 0"),
        ({"units": []}, "at least one whole number"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        supervised_autoencoder(**arguments)
