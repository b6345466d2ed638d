"""Adam's variants against NumPy, PyTorch, optax and Keras."""

import itertools

import keras
import numpy as np
import pytest
from rule_problem import GIVEN, START, assert_same_path, distance, follow, numpy_walk, optax_walk, torch_walk

from kerastrain._core.errors import InputError
from kerastrain.optimizers.textbook_adam import TextbookAdam


def slow_rate():
    """A moving rate of Adam's size, and the same in NumPy."""
    return keras.optimizers.schedules.InverseTimeDecay(0.02, 5, 0.5), lambda step: 0.02 / (1 + 0.5 * step / 5)


def expected_path(rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8, correct=True, inside=False, weight_decay=0.0):
    """Kingma and Ba, algorithm 1; text 003 has epsilon inside the root, text 004 no correction."""
    means = [np.zeros(value.shape) for value in START]
    squares = [np.zeros(value.shape) for value in START]

    def move(step, index, value, gradient):
        means[index] = beta_1 * means[index] + (1 - beta_1) * gradient
        squares[index] = beta_2 * squares[index] + (1 - beta_2) * gradient**2
        mean = means[index] / (1 - beta_1 ** (step + 1)) if correct else means[index]
        square = squares[index] / (1 - beta_2 ** (step + 1)) if correct else squares[index]
        root = np.sqrt(square + epsilon) if inside else np.sqrt(square) + epsilon
        return value - rate(step) * mean / root

    return numpy_walk(move, given=GIVEN, weight_decay=weight_decay, rate=rate)


@pytest.mark.backend
@pytest.mark.parametrize(("correct", "inside"), list(itertools.product([True, False], repeat=2)))
def test_the_variants_are_their_formulas(correct, inside):
    schedule, rate = slow_rate()
    optimizer = TextbookAdam(schedule, epsilon=1e-3, bias_correction=correct, epsilon_inside_root=inside)
    # 1 - 0.999 in float32 is off by 1.3e-5 of itself; without the correction, which has the same, half of it is left.
    tolerance = {} if correct else {"rtol": 2e-5, "atol": 1e-5}
    found = follow(optimizer, given=GIVEN)
    assert_same_path(found, expected_path(rate, epsilon=1e-3, correct=correct, inside=inside), **tolerance)
    assert distance(found, expected_path(rate, epsilon=1e-3, correct=not correct, inside=inside)) > 1e-3
    assert distance(found, expected_path(rate, epsilon=1e-3, correct=correct, inside=not inside)) > 1e-3


@pytest.mark.parametrize(
    ("arguments", "reference"),
    [
        # Text 003: beta 0.9, alpha 0.999, corrected, 10^-7 inside the root.
        ({"epsilon": 1e-7, "epsilon_inside_root": True}, {"epsilon": 1e-7, "inside": True}),
        # Text 004: uncorrected, 1e-5 outside.
        ({"epsilon": 1e-5, "bias_correction": False}, {"epsilon": 1e-5, "correct": False}),
        ({"beta_1": 0.0, "beta_2": 0.5}, {"beta_1": 0.0, "beta_2": 0.5}),
        ({"beta_1": 0.5, "beta_2": 0.0}, {"beta_1": 0.5, "beta_2": 0.0}),
        ({"weight_decay": 0.05}, {"weight_decay": 0.05}),
    ],
    ids=str,
)
def test_the_texts_variants(arguments, reference):
    schedule, rate = slow_rate()
    tolerance = {} if arguments.get("bias_correction", True) else {"rtol": 2e-5, "atol": 1e-5}
    assert_same_path(
        follow(TextbookAdam(schedule, **arguments), given=GIVEN), expected_path(rate, **reference), **tolerance
    )


@pytest.mark.backend
def test_text_001_is_keras_adam_without_epsilon():
    # Text 001 folds the corrections into the rate: a_t = a sqrt(1 - rho^T) / (1 - rho_f^T); w -= a_t F / sqrt(A).
    rate = 0.01
    means = [np.zeros(value.shape) for value in START]
    squares = [np.zeros(value.shape) for value in START]

    def move(step, index, value, gradient):
        means[index] = 0.9 * means[index] + 0.1 * gradient
        squares[index] = 0.999 * squares[index] + 0.001 * gradient**2
        folded = rate * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        return value - folded * means[index] / np.sqrt(squares[index])

    expected = numpy_walk(move, given=GIVEN)
    assert_same_path(follow(TextbookAdam(rate, epsilon=1e-30), given=GIVEN), expected)
    # Keras subtracts the powers in float32, hence the wider tolerance.
    assert_same_path(follow(keras.optimizers.Adam(rate, epsilon=1e-30), given=GIVEN), expected, rtol=1e-4, atol=1e-5)


def test_keras_epsilon_is_epsilon_hat():
    # Folded: a sqrt(c2) / c1 m / (sqrt(v) + e) = a m^ / (sqrt(v^) + e / sqrt(c2)), with c = 1 - beta^t.
    gradient = np.array([1e-6, 1e-3], np.float32)
    for rule, epsilon in ((TextbookAdam, 1e-5 / np.sqrt(1 - 0.999)), (keras.optimizers.Adam, 1e-5)):
        weight, optimizer = keras.Variable([0.0, 0.0]), rule(0.1, epsilon=float(epsilon))
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        expected = -0.1 * gradient / (gradient + 1e-5 / np.sqrt(1 - 0.999))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), expected, rtol=1e-4)


@pytest.mark.backend
def test_the_first_steps_by_hand():
    # Corrected, the first step is the rate whatever the gradient; uncorrected it is 0.1 / sqrt(0.001) = 3.1623 rates.
    for correct, expected in ((True, 0.01), (False, 0.031623)):
        weight, optimizer = keras.Variable([0.0, 0.0]), TextbookAdam(0.01, bias_correction=correct)
        optimizer.apply([keras.ops.convert_to_tensor(np.array([5.0, -0.02], np.float32))], [weight])
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), [-expected, expected], rtol=2e-5)


def test_the_default_is_torch_adam_and_with_decay_adamw():
    schedule, rate = slow_rate()
    assert_same_path(follow(TextbookAdam(schedule), given=GIVEN), torch_walk("Adam", rate, GIVEN))
    found = follow(TextbookAdam(slow_rate()[0], beta_1=0.8, beta_2=0.99, epsilon=1e-3, weight_decay=0.05), given=GIVEN)
    assert_same_path(found, torch_walk("AdamW", rate, GIVEN, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.05))


@pytest.mark.parametrize(("epsilon", "root"), [(1e-3, 0.0), (0.0, 1e-3)])
def test_it_is_optax_adam_with_epsilon_on_either_side(epsilon, root):
    optax = pytest.importorskip("optax")
    schedule, rate = slow_rate()
    rule = optax.adam(rate, eps=epsilon, eps_root=root)
    expected = optax_walk(rule, GIVEN)
    found = follow(TextbookAdam(schedule, epsilon=1e-3, epsilon_inside_root=root > 0), given=GIVEN)
    # optax subtracts the powers in float32, as Keras.
    assert_same_path(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.backend
def test_the_second_moment_moves_in_bfloat16():
    # bfloat16 has no number between 0.996 and 1: 1 - beta_2 in bfloat16 would be 0, and the second moment stay there.
    weight = keras.Variable([1.0], dtype="bfloat16")
    optimizer = TextbookAdam(0.25)
    optimizer.apply([keras.ops.convert_to_tensor([2.0], dtype="bfloat16")], [weight])
    np.testing.assert_allclose(np.array(keras.ops.convert_to_numpy(weight), np.float32), [0.75], atol=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta_1": 1.0}, "`beta_1` must be a number >= 0 and < 1. Received: beta_1=1.0."),
        ({"beta_2": -0.5}, "`beta_2` must be a number >= 0 and < 1. Received: beta_2=-0.5."),
        ({"epsilon": -1e-8}, "`epsilon` must be a number > 0. Received: epsilon=-1e-08."),
        ({"epsilon": "tiny"}, "`epsilon` must be a number > 0. Received: epsilon='tiny'."),
        ({"bias_correction": None}, "`bias_correction` must be True or False. Received: bias_correction=None."),
        ({"epsilon_inside_root": 1}, "`epsilon_inside_root` must be True or False. Received: epsilon_inside_root=1."),
    ],
    ids=str,
)
def test_a_bad_argument_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        TextbookAdam(**arguments)
    assert message in str(error.value)
