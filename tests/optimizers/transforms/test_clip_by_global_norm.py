import keras
import numpy as np
import pytest
from optimizer_probes import (
    BACKEND,
    assert_near,
    batches_of,
    global_norm,
    linear_gradients,
    linear_model,
    numbers,
    numpy_sgd,
    regression,
    trained_by_batches,
    transformed,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers import ClipByGlobalNorm, ComposedOptimizer, GradientTransform

GRADIENTS = [numbers(4, 3), numbers(5, seed=1, scale=3.0), numbers(2, 1, 2, seed=2, scale=0.01), numbers(seed=3)]


def clipped(gradients, max_norm):
    """Algorithm 1 of Pascanu, Mikolov and Bengio, 2013."""
    norm = global_norm(gradients)
    return [np.float64(gradient) * (max_norm / norm if norm > max_norm else 1.0) for gradient in gradients]


@pytest.mark.backend
@pytest.mark.parametrize("max_norm", [0.5, 3.0])
def test_all_gradients_have_one_norm(max_norm):
    found = transformed(ClipByGlobalNorm(max_norm), GRADIENTS)
    assert_near(found, clipped(GRADIENTS, max_norm), rtol=1e-6)
    np.testing.assert_allclose(global_norm(found), max_norm, rtol=1e-6)


@pytest.mark.backend
def test_what_does_not_exceed_the_norm_keeps_every_bit():
    for max_norm, gradients in ((100.0, GRADIENTS), (5.0, [np.array([3.0], np.float32), np.array([4.0], np.float32)])):
        for one, gradient in zip(transformed(ClipByGlobalNorm(max_norm), gradients), gradients, strict=True):
            np.testing.assert_array_equal(one, gradient)


def test_it_is_optax_clip_by_global_norm():
    optax = pytest.importorskip("optax")
    for max_norm in (0.5, 100.0):
        expected, _ = optax.clip_by_global_norm(max_norm).update(GRADIENTS, optax.EmptyState())
        assert_near(transformed(ClipByGlobalNorm(max_norm), GRADIENTS), [np.array(one) for one in expected], rtol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_bad_element_makes_it_a_step_of_no_length(bad):
    found, other = transformed(
        ClipByGlobalNorm(1.0), [np.array([1.0, bad, -2.0], np.float32), np.array([3.0, 4.0], np.float32)]
    )
    np.testing.assert_array_equal(found, [0.0, np.nan, 0.0])
    np.testing.assert_array_equal(other, [0.0, 0.0])


@pytest.mark.backend
@pytest.mark.parametrize(
    "gradients",
    [[[1e20, 1.0], [0.5]], [[1.5e19], [1.5e19]]],
    ids=["in one variable", "only in the sum over variables"],
)
def test_a_sum_of_squares_beyond_float32_is_a_step_of_no_length(gradients):
    found = transformed(ClipByGlobalNorm(1.0), [np.array(gradient, np.float32) for gradient in gradients])
    for one in found:
        np.testing.assert_array_equal(one, np.zeros_like(one))


@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_a_run_is_that_of_keras_global_clipnorm(rule):
    rule = getattr(keras.optimizers, rule)
    data = batches_of(*regression(scale=5.0))
    paths = []
    for optimizer in (
        rule(0.1, global_clipnorm=0.5),
        ComposedOptimizer(rule(0.1), [ClipByGlobalNorm(0.5)]),
        rule(0.1),
    ):
        model = linear_model()
        model.compile(optimizer, loss="mse")
        paths.append(trained_by_batches(model, data)[-1])
    assert_near(paths[1], paths[0], rtol=1e-5)
    assert np.abs(paths[2][0] - paths[0][0]).max() > 1e-2  # Clipping had a part in it.


@pytest.mark.backend
def test_under_accumulation_the_mean_is_clipped():
    # Steep gradients of opposite signs: each of norm about 1000, their mean small.
    inputs, targets = numbers(8, 3), numbers(8, 2, seed=1)
    large = 1000 * numbers(4, 2, seed=5)
    targets[0:4] += large
    targets[4:8] -= large
    inputs[4:8] = inputs[0:4]
    data = [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])]
    model = linear_model()
    start = model.get_weights()
    parts = [linear_gradients(start, *batch) for batch in data]
    mean = [(one + other) / 2 for one, other in zip(*parts, strict=True)]
    assert min(global_norm(part) for part in parts) > 100 > 20 > global_norm(mean) > 0.1
    for max_norm in (20.0, 0.1):
        model.set_weights(start)
        optimizer = ComposedOptimizer(
            keras.optimizers.SGD(0.5), [ClipByGlobalNorm(max_norm)], gradient_accumulation_steps=2
        )
        model.compile(optimizer, loss="mse")
        path = trained_by_batches(model, data)
        assert_near(path[0], start, rtol=0, atol=0)
        expected = [weight - 0.5 * gradient for weight, gradient in zip(start, clipped(mean, max_norm), strict=True)]
        assert_near(path[1], expected, atol=1e-4)  # Sums of numbers near 1000 have an error of about 1e-4.


class CountTraces(GradientTransform):
    """Counts how often Python comes by."""

    def __init__(self):
        super().__init__()
        self.traces = 0

    def transform(self, gradients, variables):
        self.traces += 1
        return list(gradients)


class MoveAtEpoch(keras.callbacks.Callback):
    def __init__(self, name, values):
        super().__init__()
        self.name = name
        self.values = values

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.hyperparameters[self.name] = self.values[epoch]


@pytest.mark.backend
def test_the_norm_moves_during_a_compiled_fit():
    inputs, targets = regression(batches=2, scale=20.0)
    bounds = [3.0, 0.5, 1000.0]
    counter = CountTraces()
    model = linear_model()
    start = model.get_weights()
    model.compile(ComposedOptimizer(keras.optimizers.SGD(0.1), [counter, ClipByGlobalNorm(1.0)]), loss="mse")
    move = MoveAtEpoch("clip_by_global_norm.max_norm", bounds)
    model.fit(inputs, targets, batch_size=4, epochs=1, shuffle=False, verbose=0, callbacks=[move])
    traces = counter.traces
    model.fit(inputs, targets, batch_size=4, initial_epoch=1, epochs=3, shuffle=False, verbose=0, callbacks=[move])
    data = batches_of(inputs, targets)
    expected = numpy_sgd(start, data * 3, 0.1, lambda step, gradients, weights: clipped(gradients, bounds[step // 2]))
    assert_near(model.get_weights(), expected[-1], rtol=1e-5)
    if BACKEND != "torch":  # Which runs Python at every step.
        assert counter.traces == traces


@pytest.mark.parametrize("max_norm", [0.0, -1.0, float("inf"), float("nan"), "3", None, True])
def test_a_norm_that_is_refused(max_norm):
    with pytest.raises(InputError) as error:
        ClipByGlobalNorm(max_norm)
    assert str(error.value) == (
        f"`max_norm` must be a number > 0. Received: max_norm={max_norm!r}. "
        "Leave the transform out to switch clipping off."
    )
