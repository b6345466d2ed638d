import random

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.datasets import Batches
from kerastrain.diagnostics import learning_rate_range_test as range_test
from kerastrain.diagnostics.learning_rate_range_test import suggested
from kerastrain.optimizers import ComposedOptimizer, ExponentialAveraging, MomentumSGD, SkipNonFinite

pytestmark = pytest.mark.backend
X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0, 0.5], np.float32) + 1.0)[:, None]
DECAY = keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 1.0)

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "scheduled": lambda: keras.optimizers.Adam(DECAY),
    "composed": lambda: ComposedOptimizer(
        MomentumSGD(DECAY), [SkipNonFinite()], averaging=ExponentialAveraging(0.9), gradient_accumulation_steps=2
    ),
    # On JAX a second `fit` with `use_ema` crashes, whatever was between.
    "ema": lambda: keras.optimizers.AdamW(0.1, use_ema=keras.backend.backend() != "jax", gradient_accumulation_steps=2),
}


def network(optimizer, **options):
    keras.utils.set_random_seed(0)
    parts = [
        keras.Input((3,)),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dropout(0.2, seed=0),
        keras.layers.Dense(1, name="head"),
    ]
    model = keras.Sequential(parts, name="network")
    model.compile(optimizer, loss="mse", metrics=["mae"], **options)
    return model


def everything(model):
    """All values, and that of the process's generators."""
    variables = [*model.variables, *model.optimizer.variables]
    values = [np.array(keras.ops.convert_to_numpy(variable)).tobytes() for variable in variables]
    return [*values, random.getstate(), np.random.get_state()[1].tobytes(), np.random.get_state()[2]]


def linear(rate=0.01):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="zeros")], name="linear")
    model.compile(ComposedOptimizer(keras.optimizers.SGD(rate)), loss="mse")
    return model


def by_hand(first, last, steps, smoothing, factor):
    """Gradient descent on the mean squared error of a linear function, from 0, at rising rates."""
    design = np.concatenate([X, np.ones((24, 1))], axis=1).astype(np.float64)
    weights, rates, losses, smoothed = np.zeros((4, 1)), [], [], []
    for index in range(steps):
        rates.append(first * (last / first) ** (index / (steps - 1)))
        errors = design @ weights - Y
        losses.append(np.mean(errors**2))
        weights -= rates[-1] * 2 * design.T @ errors / 24
        factors = smoothing ** np.arange(len(losses))[::-1]
        smoothed.append(np.sum(factors * losses) / np.sum(factors))
        if smoothed[-1] > factor * min(smoothed):
            break
    return rates, losses, smoothed


@pytest.mark.parametrize("smoothing", [0.0, 0.7])
def test_it_is_gradient_descent_at_rising_rates(smoothing):
    found = range_test(linear(), [(X, Y)], 1e-3, 10.0, steps=40, smoothing=smoothing)
    rates, losses, smoothed = by_hand(1e-3, 10.0, 40, smoothing, 4.0)
    assert found.stopped == "the loss has risen" and len(rates) == len(found.rates) < 40
    np.testing.assert_allclose(found.rates, rates, rtol=1e-5)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(found.smoothed_losses, smoothed, rtol=1e-2, atol=1e-4)
    # The rules, from the curve by hand: slopes between neighbours, and a tenth of the rate at the minimum.
    first = {0.0: 1, 0.7: 4}[smoothing]
    lowest = int(np.argmin(smoothed))
    slopes = [
        (smoothed[i + 1] - smoothed[i - 1]) / np.log(rates[i + 1] / rates[i - 1]) for i in range(first, lowest + 1)
    ]
    steepest = rates[first + int(np.argmin(slopes))]
    expected = sorted([steepest, rates[lowest] / 10])
    np.testing.assert_allclose([found.suggested_minimum, found.suggested_maximum], expected, rtol=1e-5)


def test_a_loss_that_only_rises_suggests_nothing():
    found = range_test(linear(), [(X, Y)], 3.0, 30.0, steps=5, smoothing=0.0)
    assert (found.suggested_minimum, found.suggested_maximum) == (None, None)


def test_a_loss_that_only_wavers_suggests_nothing_and_one_that_falls_does():
    rates, found = np.geomspace(1e-7, 10, 100).tolist(), {0.0: 0, 0.5: 0}
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(2.3, 0.05, 100)
        for fall in found:
            losses = noise - fall / (1 + np.exp(-(np.arange(100) - 60) / 5))
            mean, smoothed = 0.0, []
            for count, loss in enumerate(losses, start=1):
                mean = 0.9 * mean + 0.1 * loss
                smoothed.append(mean / (1 - 0.9**count))
            found[fall] += suggested(rates, losses.tolist(), smoothed, 0.9)[0] is not None
    assert found[0.0] <= 2
    assert found[0.5] == 20


def test_all_steps_and_an_end_of_the_data():
    assert range_test(linear(), (X, Y), 1e-5, 1e-3, steps=7, batch_size=10, stop_factor=100).stopped == "all steps"
    found = range_test(linear(), iter([(X, Y)] * 3), steps=7)
    assert (found.stopped, len(found.rates)) == ("no more data", 3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_training_does_not_notice(name):
    data = Batches(X, Y, 8, seed=1)
    options = {"shuffle": False, "verbose": 0}
    states = []
    for tested in (False, True):
        model = network(OPTIMIZERS[name]())
        model.fit(data, epochs=1, **options)
        if tested:
            before = everything(model)
            found = range_test(model, data, 1e-5, 1e-1, steps=6, stop_factor=1e9)
            assert found.stopped == "all steps"
            np.testing.assert_allclose(found.rates, np.geomspace(1e-5, 1e-1, 6), rtol=1e-4)
            assert everything(model) == before
        history = model.fit(data, epochs=2, **options).history
        states.append((everything(model), history, float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))))
    assert states[0] == states[1]


def test_a_plateau_s_multiplier_is_put_aside():
    model = linear(keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 1.0))
    model.optimizer.hyperparameters["plateau_multiplier"] = 0.5
    found = range_test(model, (X, Y), 1e-4, 1e-2, steps=3)
    np.testing.assert_allclose(found.rates, [1e-4, 1e-3, 1e-2], rtol=1e-5)
    assert float(model.optimizer.hyperparameters["plateau_multiplier"]) == 0.5
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(0.05)


def test_an_exception_and_a_loss_that_is_not_finite_leave_nothing():
    model = network(OPTIMIZERS["scheduled"]())
    model.optimizer.build(model.trainable_variables)
    before = everything(model)

    def failing():
        yield X, Y
        np.random.random()
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        range_test(model, failing())
    assert everything(model) == before
    found = range_test(model, [(X, Y), (X * np.nan, Y)], steps=5)
    assert found.stopped == "the loss is not finite" and len(found.rates) == 1
    assert everything(model) == before


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no steps_per_execution on torch")
def test_steps_per_execution_and_half_precision():
    model = network(keras.optimizers.SGD(0.1), steps_per_execution=3)
    assert len(range_test(model, (X, Y), 1e-5, 1e-2, steps=5).rates) == 5
    assert model.steps_per_execution == 3
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network(keras.optimizers.SGD(DECAY))
    finally:
        keras.config.set_dtype_policy("float32")
    model.optimizer.build(model.trainable_variables)
    before = everything(model)
    found = range_test(model, (X, Y), 1e-5, 1e-2, steps=5)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-5, 1e-2, 5), rtol=1e-4)
    assert everything(model) == before


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"min_learning_rate": 0.0}, "min_learning_rate"),
        ({"max_learning_rate": 1e-8}, "max_learning_rate"),
        ({"steps": 1}, "steps"),
        ({"smoothing": 1.0}, "smoothing"),
        ({"stop_factor": 1.0}, "stop_factor"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_an_argument_out_of_range(arguments, argument):
    with pytest.raises(InputError, match=f"`{argument}`"):
        range_test(None, (X, Y), **arguments)


def test_what_cannot_be_tested():
    uncompiled = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    unbuilt = keras.Sequential([keras.layers.Dense(1)])
    unbuilt.compile("sgd", "mse")
    for model, message in ((uncompiled, "compiled"), (unbuilt, "built")):
        with pytest.raises(InputError, match=message):
            range_test(model, (X, Y))
    for data, message in (([], "at least one batch"), ((X, Y[:3]), "as many samples"), (X, r"`data` must be \(x, y\)")):
        with pytest.raises(InputError, match=message):
            range_test(linear(), data)
