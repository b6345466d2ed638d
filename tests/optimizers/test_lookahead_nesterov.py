"""Nesterov's parameters and lookahead point against NumPy, Keras and PyTorch."""

import keras
import numpy as np
import pytest
from rule_problem import (
    START,
    STEPS,
    assert_same_path,
    distance,
    follow,
    gradients,
    moving_momentum,
    moving_rate,
    numpy_values,
    torch_walk,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers.lookahead_nesterov import LookaheadNesterov


def expected_paths(rate, momentum, l2=0.0, steps=STEPS):
    """Texts 001 and 003: v = rho v - a g(theta + rho v), theta = theta + v. Returns the thetas and the points ahead.

    Under a moving momentum the gradient is taken with the rho of the update before (as the docstring says).
    """
    thetas = [value.astype(np.float64) for value in START]
    velocities = [np.zeros(value.shape) for value in START]
    theta_path, ahead_path = [], []
    last = 0.0
    for step in range(steps):
        ahead = [theta + last * velocity for theta, velocity in zip(thetas, velocities, strict=True)]
        found = [gradient + l2 * value for gradient, value in zip(gradients(ahead), ahead, strict=True)]
        velocities = [momentum(step) * v - rate(step) * g for v, g in zip(velocities, found, strict=True)]
        thetas = [theta + velocity for theta, velocity in zip(thetas, velocities, strict=True)]
        last = momentum(step)
        theta_path.append(thetas)
        ahead_path.append([theta + last * velocity for theta, velocity in zip(thetas, velocities, strict=True)])
    return theta_path, ahead_path


def follow_both(optimizer, **options):
    thetas = []
    return follow(optimizer, after=lambda step: thetas.append(optimizer.theta()), **options), thetas


@pytest.mark.backend
@pytest.mark.parametrize("l2", [None, 0.02])
def test_theta_is_the_textbooks_sequence(l2):
    schedule, rate = moving_rate()
    found, thetas = follow_both(LookaheadNesterov(schedule, momentum=0.9, l2=l2))
    expected_thetas, expected_points = expected_paths(rate, lambda step: 0.9, l2 or 0.0)
    assert_same_path(thetas, expected_thetas)
    assert_same_path(found, expected_points)
    assert max(np.abs(one - other).max() for one, other in zip(found[10], thetas[10], strict=True)) > 1e-2


@pytest.mark.backend
def test_theta_under_a_scheduled_momentum():
    (schedule, rate), (moving, momentum) = moving_rate(), moving_momentum()
    found, thetas = follow_both(LookaheadNesterov(schedule, momentum=moving))
    expected_thetas, expected_points = expected_paths(rate, momentum)
    assert_same_path(thetas, expected_thetas)
    assert_same_path(found, expected_points)


@pytest.mark.backend
def test_theta_when_the_momentum_has_been_moved_since():
    optimizer = LookaheadNesterov(0.05, momentum=0.9)
    momentum = [0.9] * 20 + [0.3] * 20 + [0.0] * 5 + [0.8] * 5

    def move(step):
        optimizer.hyperparameters["momentum"].assign(momentum[step])

    # The next momentum is set right after an update, so before theta is asked for.
    thetas = []

    def after(step):
        move(min(step + 1, STEPS - 1))
        thetas.append(optimizer.theta())

    found = follow(optimizer, before=move, after=after)
    expected_thetas, expected_points = expected_paths(lambda step: 0.05, lambda step: momentum[step])
    assert_same_path(thetas, expected_thetas)
    assert_same_path(found, expected_points)


@pytest.mark.backend
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.05}], ids=str)
def test_the_lookahead_point_is_keras_nesterov(options):
    found = follow(LookaheadNesterov(moving_rate()[0], momentum=0.9, **options))
    expected = follow(keras.optimizers.SGD(moving_rate()[0], momentum=0.9, nesterov=True, **options))
    assert_same_path(found, expected, rtol=1e-6, atol=1e-6)


def test_decoupled_decay_moves_theta_by_the_decay_of_the_point():
    optimizer = LookaheadNesterov(0.1, momentum=0.5, weight_decay=0.2)
    weight = keras.Variable([2.0])
    theta, velocity, point = 2.0, 0.0, 2.0
    for gradient in (1.0, -3.0, 0.5):
        optimizer.apply([keras.ops.convert_to_tensor([gradient])], [weight])
        velocity = 0.5 * velocity - 0.1 * gradient
        theta = theta - 0.1 * 0.2 * point + velocity
        point = theta + 0.5 * velocity
        np.testing.assert_allclose(optimizer.theta()[0], [theta], rtol=1e-6)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), [point], rtol=1e-6)


def test_a_variable_without_a_gradient_keeps_its_momentum():
    optimizer = LookaheadNesterov(0.1, momentum=0.9)
    weights = [keras.Variable([1.0]), keras.Variable([2.0])]
    one = keras.ops.ones(1)
    optimizer.apply([one, one], weights)
    theta = optimizer.theta()[1]
    optimizer.hyperparameters["momentum"].assign(0.5)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([one, None], weights)
    np.testing.assert_array_equal(optimizer.theta()[1], theta)


def test_torch_walks_the_same_points_while_the_rate_stays():
    expected = torch_walk("SGD", lambda step: 0.05, momentum=0.9, nesterov=True)
    assert_same_path(follow(LookaheadNesterov(0.05, momentum=0.9)), expected)


def test_without_momentum_it_is_gradient_descent():
    found, thetas = follow_both(LookaheadNesterov(0.05, momentum=0.0))
    assert_same_path(found, follow(keras.optimizers.SGD(0.05)), rtol=1e-6, atol=1e-7)
    assert_same_path(thetas, found, rtol=0, atol=0)
    assert distance(found, follow(LookaheadNesterov(0.05))) > 1e-2


def test_theta_is_a_copy_in_the_order_of_build():
    weights = [keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])]
    optimizer = LookaheadNesterov(0.1)
    with pytest.raises(InputError, match="built"):
        optimizer.theta()
    optimizer.build(weights)
    found = optimizer.theta()
    assert [value.shape for value in found] == [(2,), (1, 1)]
    for value, weight in zip(found, numpy_values(weights), strict=True):
        np.testing.assert_array_equal(value, weight)
        value += 1.0
    np.testing.assert_array_equal(optimizer.theta()[0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.01}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=1.01."),
        ({"momentum": True}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=True."),
        ({"l2": -1}, "`l2` must be a number >= 0. Received: l2=-1."),
    ],
    ids=str,
)
def test_a_bad_argument_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        LookaheadNesterov(**arguments)
    assert message in str(error.value)
