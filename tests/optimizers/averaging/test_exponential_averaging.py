import keras
import numpy as np
import pytest
from optimizer_probes import (
    AfterEachBatch,
    array,
    assert_near,
    batches_of,
    linear_model,
    mean,
    regression,
    trained_by_batches,
    walk,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers import ComposedOptimizer, ExponentialAveraging


def corrected(iterates, decay):
    """Section 7.2 of Kingma and Ba, 2015: (1 - d) sum_i d^(n-i) theta_i, divided by 1 - d^n."""
    n = len(iterates)
    shares = [(1 - decay) * decay ** (n - i) / (1 - decay**n) for i in range(1, n + 1)]
    np.testing.assert_allclose(sum(shares), 1.0, rtol=1e-9)
    return [
        sum(share * value for share, value in zip(shares, values, strict=True))
        for values in zip(*iterates, strict=True)
    ]


def uncorrected(iterates, decay):
    """The moving average that begins with the first of them."""
    average = iterates[0]
    for values in iterates[1:]:
        average = [decay * one + (1 - decay) * value for one, value in zip(average, values, strict=True)]
    return average


@pytest.mark.backend
@pytest.mark.parametrize("every_steps", [1, 3])
@pytest.mark.parametrize("decay", [0.0, 0.6, 0.95])
@pytest.mark.parametrize("bias_correction", [True, False])
def test_it_is_the_formula(decay, every_steps, bias_correction):
    weights, averages = walk(ExponentialAveraging(decay, every_steps, bias_correction), 10)
    formula = corrected if bias_correction else uncorrected
    for update in range(1, 11):
        taken = weights[every_steps - 1 : update : every_steps]
        # Before the first move it follows the weights.
        assert_near(averages[update - 1], formula(taken, decay) if taken else weights[update - 1])


def test_early_on_the_correction_matters():
    weights, averages = walk(ExponentialAveraging(0.95), 4)
    assert np.abs(averages[-1][0] - uncorrected(weights, 0.95)[0]).max() > 1e-2


@pytest.mark.backend
@pytest.mark.parametrize("decay", [0.9999, 0.999999])
def test_a_slow_average_is_exact_after_a_few_steps(decay):
    # 1 - 0.999999 has two digits in float32; taken as a difference, the shares would be wrong by several percent.
    weights, averages = walk(ExponentialAveraging(decay), 6)
    assert_near(averages[-1], corrected(weights, decay), rtol=1e-6, atol=1e-6)
    assert_near(averages[-1], mean(weights), rtol=1e-4, atol=1e-4)  # As of which they are equal shares.


def test_the_uncorrected_one_is_keras_use_ema():
    data = batches_of(*regression())
    model = linear_model()
    model.compile(keras.optimizers.SGD(0.2, use_ema=True, ema_momentum=0.9), loss="mse")
    trained_by_batches(model, data)
    model.optimizer.finalize_variable_values(model.trainable_variables)  # Keras writes its averages into the model.
    ours = linear_model()
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.2), averaging=ExponentialAveraging(0.9, bias_correction=False))
    ours.compile(optimizer, loss="mse")
    path = trained_by_batches(ours, data)
    assert_near(optimizer.theta(), model.get_weights(), rtol=1e-6)
    assert np.abs(path[-1][0] - optimizer.theta()[0]).max() > 1e-2


def test_the_corrected_one_is_optax_ema():
    optax = pytest.importorskip("optax")
    weights, averages = walk(ExponentialAveraging(0.9), 8)
    rule = optax.ema(0.9, debias=True)
    state = rule.init([np.float32(value) for value in weights[0]])
    for values, average in zip(weights, averages, strict=True):
        expected, state = rule.update([np.float32(value) for value in values], state)
        assert_near(average, [np.array(one) for one in expected], rtol=1e-5)


@pytest.mark.backend
@pytest.mark.parametrize("every_steps", [1, 4])
def test_in_a_compiled_fit_it_averages_the_weights_after_each_batch(every_steps):
    model = linear_model()
    optimizer = ComposedOptimizer(keras.optimizers.Adam(0.1), averaging=ExponentialAveraging(0.8, every_steps))
    model.compile(optimizer, loss="mse")
    after_each = AfterEachBatch(lambda: [array(weight) for weight in model.trainable_variables])
    model.fit(*regression(), batch_size=4, epochs=2, verbose=0, callbacks=[after_each])
    assert_near(optimizer.theta(), corrected(after_each.found[every_steps - 1 :: every_steps], 0.8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decay": 1.0}, "`decay` must be a number >= 0 and < 1. Received: decay=1.0."),
        ({"decay": -0.1}, "`decay` must be a number >= 0 and < 1. Received: decay=-0.1."),
        ({"every_steps": 0}, "`every_steps` must be a whole number >= 1. Received: every_steps=0."),
        ({"bias_correction": 1}, "`bias_correction` must be True or False. Received: bias_correction=1."),
    ],
    ids=str,
)
def test_an_argument_that_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        ExponentialAveraging(**arguments)
    assert str(error.value) == message
