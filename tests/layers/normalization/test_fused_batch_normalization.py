"""Batch normalization by the fused kernel: against NumPy, torch and Keras's own layer, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, differentiated

from kerastrain._core import fused_batch_norm
from kerastrain.layers import FusedBatchNormalization, recalibrate

pytestmark = pytest.mark.backend

IMAGES = np.random.default_rng(1).normal(2.0, [1.0, 5.0, 0.1], size=(6, 4, 5, 3)).astype(np.float32)
WEIGHTS = np.random.default_rng(5).uniform(0.5, 2.0, size=(4, 3)).astype(np.float32)


def randomized(layer):
    layer.build(IMAGES.shape)
    for variable, values in zip(
        (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance), WEIGHTS, strict=True
    ):
        if variable is not None:
            variable.assign(values)
    return layer


def by_formula(mean, variance, epsilon, gamma=WEIGHTS[0], beta=WEIGHTS[1]):
    return gamma * (np.float64(IMAGES) - mean) / np.sqrt(variance + epsilon) + beta


@pytest.mark.parametrize("epsilon", [1e-3, 1e-12])
def test_in_training_it_is_the_formula_on_the_batch_and_the_statistics_move_as_kerass(epsilon):
    layer = randomized(FusedBatchNormalization(momentum=0.6, epsilon=epsilon))
    mean, variance = np.float64(IMAGES).mean(axis=(0, 1, 2)), np.float64(IMAGES).var(axis=(0, 1, 2))
    np.testing.assert_allclose(array(layer(IMAGES, training=True)), by_formula(mean, variance, epsilon), atol=1e-4)
    np.testing.assert_allclose(array(layer.moving_mean), 0.6 * WEIGHTS[2] + 0.4 * mean, rtol=1e-5)
    # Of the batch's variance as it is, not of the unbiased one.
    np.testing.assert_allclose(array(layer.moving_variance), 0.6 * WEIGHTS[3] + 0.4 * variance, rtol=1e-4)


def test_at_inference_and_frozen_it_is_the_formula_on_the_moving_statistics():
    wanted = by_formula(WEIGHTS[2], WEIGHTS[3], 1e-3)
    layer = randomized(FusedBatchNormalization())
    np.testing.assert_allclose(array(layer(IMAGES)), wanted, rtol=1e-4, atol=1e-5)
    layer.trainable = False
    np.testing.assert_allclose(array(layer(IMAGES, training=True)), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(array(layer.moving_mean), WEIGHTS[2])


@pytest.mark.parametrize("off", [{}, {"scale": False}, {"center": False}])
def test_the_gradients_are_torchs(off):
    torch = pytest.importorskip("torch")
    layer = randomized(FusedBatchNormalization(epsilon=1e-5, **off))
    factors = np.random.default_rng(2).normal(size=IMAGES.shape).astype(np.float32)
    _, [found], weights = differentiated(
        lambda x: keras.ops.multiply(layer(x, training=True), factors), [IMAGES], layer.trainable_variables
    )
    x = torch.tensor(np.moveaxis(IMAGES, -1, 1), dtype=torch.float64, requires_grad=True)
    gamma, beta = (torch.tensor(np.float64(row), requires_grad=True) for row in WEIGHTS[:2])
    outputs = torch.nn.functional.batch_norm(
        x, None, None, None if "scale" in off else gamma, None if "center" in off else beta, training=True, eps=1e-5
    )
    (outputs * torch.tensor(np.moveaxis(factors, -1, 1))).sum().backward()
    np.testing.assert_allclose(found, np.moveaxis(x.grad.numpy(), 1, -1), atol=1e-3)
    wanted = [place.grad.numpy() for place in (gamma, beta) if place.grad is not None]
    for one, other in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_bfloat16_is_the_float32_layer_but_for_the_rounding_of_its_outputs():
    rounded = keras.ops.cast(IMAGES, "bfloat16")
    found = randomized(FusedBatchNormalization(dtype="mixed_bfloat16"))(rounded, training=True)
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    wanted = array(randomized(keras.layers.BatchNormalization())(array(rounded), training=True))
    assert np.all(np.abs(array(found) - wanted) <= 2**-8 * np.abs(wanted) + 1e-4)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere it is Keras's own")
def test_the_kernel_is_used_where_it_fits_and_only_there(monkeypatch):
    calls = []
    kernel = fused_batch_norm.normalized
    monkeypatch.setattr(fused_batch_norm, "normalized", lambda *a, **k: calls.append(1) or kernel(*a, **k))
    FusedBatchNormalization()(IMAGES)
    assert len(calls) == 1
    FusedBatchNormalization()(IMAGES[:, 0, 0])
    FusedBatchNormalization(axis=1)(IMAGES)
    FusedBatchNormalization(renorm=True)(IMAGES)
    FusedBatchNormalization(dtype="float64")(np.float64(IMAGES))
    assert len(calls) == 1


@pytest.mark.parametrize("jit", JITS)
def test_it_trains_as_kerass_layer_and_is_recalibrated_like_it(jit):
    answers = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((4, 5, 3)),
                keras.layers.Conv2D(4, 3),
                kind(momentum=0.5),
                keras.layers.Flatten(),
                keras.layers.Dense(1),
            ]
        )
        model.compile(keras.optimizers.SGD(0.01), loss="mse", jit_compile=jit)
        model.fit(IMAGES, np.arange(6.0), batch_size=3, epochs=2, shuffle=False, verbose=0)
        assert recalibrate(model, [IMAGES], 1) == 1
        answers.append(model.predict(IMAGES, verbose=0))
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-4, atol=1e-4)
