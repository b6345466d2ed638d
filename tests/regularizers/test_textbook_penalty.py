"""A textbook's penalty in Keras's numbers: against a gradient step by hand, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import array

from kerastrain._core.errors import InputError
from kerastrain.regularizers import decoupled_weight_decay, penalty_factor

pytestmark = pytest.mark.backend

STRENGTH, SAMPLES, RATE = 3.0, 40, 0.05
X = np.random.default_rng(0).normal(size=(SAMPLES, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(SAMPLES, 2)).astype(np.float32)
KERNEL = np.random.default_rng(2).normal(size=(4, 2))


def trained(steps, optimizer, regularizer=None):
    """The kernel after some steps on all examples, and the first loss."""
    dense = keras.layers.Dense(2, use_bias=False, kernel_regularizer=regularizer)
    model = keras.Sequential([keras.Input((4,)), dense])
    model.set_weights([KERNEL])
    model.compile(optimizer, "mse")
    losses = [float(model.train_on_batch(X, Y)) for _ in range(steps)]
    return array(dense.kernel), losses[0]


def by_hand(steps, penalty_gradient):
    """Gradient descent on the textbook's cost: the mean loss over the m examples plus its penalty."""
    w, x, y = KERNEL.copy(), np.float64(X), np.float64(Y)
    for _ in range(steps):
        w -= RATE * (2 * x.T @ (x @ w - y) / y.size + penalty_gradient(w))
    return w


@pytest.mark.parametrize("steps", [1, 5])
def test_the_l2_penalty_of_a_text(steps):
    # lambda / (2 m) sum(w^2), whose gradient is lambda / m w.
    wanted = by_hand(steps, lambda w: STRENGTH / SAMPLES * w)
    factor = penalty_factor(STRENGTH, SAMPLES)
    found, loss = trained(steps, keras.optimizers.SGD(RATE), keras.regularizers.L2(factor))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    mean = np.mean((np.float64(X) @ KERNEL - Y) ** 2)
    assert loss == pytest.approx(mean + STRENGTH / (2 * SAMPLES) * np.sum(KERNEL**2), rel=1e-5)
    without, _ = trained(steps, keras.optimizers.SGD(RATE))
    assert np.abs(without - wanted).max() > 1e-3, "or this test shows nothing"


@pytest.mark.parametrize("steps", [1, 5])
def test_the_l1_penalty_of_a_text(steps):
    wanted = by_hand(steps, lambda w: STRENGTH / (2 * SAMPLES) * np.sign(w))
    found, _ = trained(steps, keras.optimizers.SGD(RATE), keras.regularizers.L1(penalty_factor(STRENGTH, SAMPLES)))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 5])
def test_decoupled_decay_does_the_same_to_plain_gradient_descent(steps):
    decayed, _ = trained(steps, keras.optimizers.SGD(RATE, weight_decay=decoupled_weight_decay(STRENGTH, SAMPLES)))
    # Keras takes the decay off before the step, whose gradient is then one of w (1 - a lambda / m): for one step it is
    # the same to the order of the rate squared.
    w, x, y = KERNEL.copy(), np.float64(X), np.float64(Y)
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ w - y) / y.size
        w = w - RATE * STRENGTH / SAMPLES * w - RATE * gradient
    np.testing.assert_allclose(decayed, w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(w, by_hand(steps, lambda w: STRENGTH / SAMPLES * w), rtol=1e-12)
    penalized, _ = trained(steps, keras.optimizers.SGD(RATE), keras.regularizers.L2(penalty_factor(STRENGTH, SAMPLES)))
    np.testing.assert_allclose(decayed, penalized, rtol=1e-5, atol=1e-6)


def test_with_momentum_they_differ():
    decay = keras.optimizers.SGD(RATE, 0.9, weight_decay=decoupled_weight_decay(STRENGTH, SAMPLES))
    penalty = keras.regularizers.L2(penalty_factor(STRENGTH, SAMPLES))
    decayed, penalized = trained(5, decay)[0], trained(5, keras.optimizers.SGD(RATE, 0.9), penalty)[0]
    assert np.abs(decayed - penalized).max() > 1e-3


@pytest.mark.parametrize(("strength", "samples"), [(5.0, 50_000), (0, 1), (0.7, 3), (1, np.int64(8))])
def test_the_numbers(strength, samples):
    assert penalty_factor(strength, samples) == strength / 2 / samples
    assert decoupled_weight_decay(strength, samples) == strength / samples
    assert type(penalty_factor(strength, samples)) is float


@pytest.mark.parametrize("function", [penalty_factor, decoupled_weight_decay])
@pytest.mark.parametrize(
    ("strength", "samples", "message"),
    [
        (-1.0, 10, "`strength` must be a number >= 0. Received: strength=-1.0."),
        (float("nan"), 10, "`strength` must be a number >= 0. Received: strength=nan."),
        ("5", 10, "`strength` must be a number >= 0. Received: strength='5'."),
        (1.0, 0, "`samples` must be a whole number >= 1. Received: samples=0."),
        (1.0, 10.0, "`samples` must be a whole number >= 1. Received: samples=10.0."),
        (1.0, None, "`samples` must be a whole number >= 1. Received: samples=None."),
    ],
)
def test_numbers_out_of_range_are_refused(function, strength, samples, message):
    with pytest.raises(InputError) as error:
        function(strength, samples)
    assert str(error.value) == message
