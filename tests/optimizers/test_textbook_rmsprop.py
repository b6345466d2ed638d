"""RMSProp in its three forms against NumPy, PyTorch, optax and Keras."""

import keras
import numpy as np
import pytest
from rule_problem import (
    GIVEN,
    START,
    STEPS,
    assert_same_path,
    distance,
    follow,
    gradients,
    moving_momentum,
    moving_rate,
    numpy_values,
    numpy_walk,
    optax_walk,
    torch_walk,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers.textbook_rmsprop import TextbookRMSProp


def slow_rate():
    """`moving_rate` a tenth as large: RMSProp's steps are of the size of the rate."""
    return keras.optimizers.schedules.InverseTimeDecay(0.01, 5, 0.5), lambda step: 0.01 / (1 + 0.5 * step / 5)


def expected_path(rate, rho, epsilon, momentum=None, weight_decay=0.0):
    """Texts 002 and 004, with epsilon outside the root; 001's velocity without its Nesterov point."""
    averages = [np.zeros(value.shape) for value in START]
    velocities = [np.zeros(value.shape) for value in START]

    def move(step, index, value, gradient):
        averages[index] = rho * averages[index] + (1 - rho) * gradient**2
        by = rate(step) * gradient / (np.sqrt(averages[index]) + epsilon)
        if momentum is None:
            return value - by
        velocities[index] = momentum(step) * velocities[index] - by
        return value + velocities[index]

    return numpy_walk(move, given=GIVEN, weight_decay=weight_decay, rate=rate)


def expected_thetas(rate, rho, epsilon, momentum):
    """Text 001: g at W + bV; A = rho A + (1 - rho) g^2; v = b v - a g / sqrt(A); w = w + v."""
    thetas = [value.astype(np.float64) for value in START]
    velocities = [np.zeros(value.shape) for value in START]
    averages = [np.zeros(value.shape) for value in START]
    last, path = 0.0, []
    for step in range(STEPS):
        found = gradients([theta + last * velocity for theta, velocity in zip(thetas, velocities, strict=True)])
        averages = [rho * average + (1 - rho) * g**2 for average, g in zip(averages, found, strict=True)]
        velocities = [
            momentum(step) * v - rate(step) * g / (np.sqrt(average) + epsilon)
            for v, g, average in zip(velocities, found, averages, strict=True)
        ]
        thetas = [theta + velocity for theta, velocity in zip(thetas, velocities, strict=True)]
        last = momentum(step)
        path.append(thetas)
    return path


@pytest.mark.backend
@pytest.mark.parametrize("epsilon", [1e-8, 1e-5, 0.1])
@pytest.mark.parametrize("rho", [0.9, 0.5])
def test_epsilon_is_outside_the_root(rho, epsilon):
    schedule, rate = slow_rate()
    assert_same_path(
        follow(TextbookRMSProp(schedule, rho=rho, epsilon=epsilon), given=GIVEN), expected_path(rate, rho, epsilon)
    )


@pytest.mark.backend
@pytest.mark.parametrize("weight_decay", [None, 0.05])
def test_the_rate_is_inside_the_velocity(weight_decay):
    schedule, rate = slow_rate()
    found = follow(TextbookRMSProp(schedule, momentum=0.8, weight_decay=weight_decay), given=GIVEN)
    assert_same_path(found, expected_path(rate, 0.9, 1e-8, lambda step: 0.8, weight_decay or 0.0))
    assert distance(found, follow(TextbookRMSProp(slow_rate()[0], weight_decay=weight_decay), given=GIVEN)) > 1e-2


@pytest.mark.backend
@pytest.mark.parametrize("scheduled", [False, True])
def test_the_nesterov_form_of_text_001(scheduled):
    (schedule, rate), (moving, momentum) = slow_rate(), moving_momentum()
    if not scheduled:
        moving, momentum = 0.8, lambda step: 0.8
    # The epsilon keeps a rounding error in a gradient near 0 from turning the path.
    optimizer = TextbookRMSProp(schedule, momentum=moving, nesterov=True, epsilon=0.05)
    thetas = []
    points = follow(optimizer, after=lambda step: thetas.append(optimizer.theta()))
    assert_same_path(thetas, expected_thetas(rate, 0.9, 0.05, momentum))
    assert distance(points, thetas) > 1e-4


def test_text_001_and_003_have_no_epsilon():
    schedule, rate = slow_rate()
    assert_same_path(follow(TextbookRMSProp(schedule, epsilon=1e-30), given=GIVEN), expected_path(rate, 0.9, 0.0))
    # A gradient that is 0 from the start is no 0 / 0.
    weight, optimizer = keras.Variable([1.0]), TextbookRMSProp(0.1, epsilon=1e-30)
    optimizer.apply([keras.ops.zeros(1)], [weight])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), [1.0])


def test_theta_without_nesterov_is_what_the_model_holds():
    optimizer = TextbookRMSProp(0.01, momentum=0.9)
    weights = [keras.Variable([1.0, -2.0])]
    optimizer.apply([keras.ops.ones(2)], weights)
    np.testing.assert_array_equal(optimizer.theta()[0], numpy_values(weights)[0].astype(np.float32))


@pytest.mark.backend
@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_without_epsilon_it_is_keras_rmsprop(momentum):
    # Inside or outside the root, an epsilon of 1e-30 is none; with a large one the two part.
    found = follow(TextbookRMSProp(slow_rate()[0], momentum=momentum, epsilon=1e-30), given=GIVEN)
    expected = follow(keras.optimizers.RMSprop(slow_rate()[0], momentum=momentum, epsilon=1e-30), given=GIVEN)
    assert_same_path(found, expected)
    apart = follow(keras.optimizers.RMSprop(slow_rate()[0], momentum=momentum, epsilon=0.1), given=GIVEN)
    assert distance(follow(TextbookRMSProp(slow_rate()[0], momentum=momentum, epsilon=0.1), given=GIVEN), apart) > 1e-3


def test_it_is_torch_rmsprop_with_momentum_only_while_the_rate_stays():
    schedule, rate = slow_rate()
    found = follow(TextbookRMSProp(schedule, rho=0.95, epsilon=1e-3), given=GIVEN)
    assert_same_path(found, torch_walk("RMSprop", rate, GIVEN, alpha=0.95, eps=1e-3))
    found = follow(TextbookRMSProp(0.003, rho=0.95, momentum=0.8), given=GIVEN)
    assert_same_path(found, torch_walk("RMSprop", lambda step: 0.003, GIVEN, alpha=0.95, momentum=0.8))
    found = follow(TextbookRMSProp(slow_rate()[0], rho=0.95, momentum=0.8), given=GIVEN)
    assert distance(found, torch_walk("RMSprop", rate, GIVEN, alpha=0.95, momentum=0.8)) > 1e-4


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_it_is_optax_rmsprop_with_epsilon_outside(momentum):
    optax = pytest.importorskip("optax")
    schedule, rate = slow_rate()
    rule = optax.rmsprop(rate, decay=0.95, eps=1e-4, eps_in_sqrt=False, momentum=momentum or None)
    expected = optax_walk(rule, GIVEN)
    assert_same_path(
        follow(TextbookRMSProp(schedule, rho=0.95, epsilon=1e-4, momentum=momentum), given=GIVEN), expected
    )


def test_no_velocity_is_made_without_momentum():
    weights = [keras.Variable(np.zeros((5, 7), np.float32))]
    for arguments, shapes in (
        ({}, 1),
        ({"momentum": 0.9}, 2),
        ({"momentum": 0.9, "nesterov": True}, 2),
        ({"momentum": moving_rate()[0]}, 2),
    ):
        optimizer = TextbookRMSProp(0.01, **arguments)
        optimizer.build(weights)
        assert sum(tuple(variable.shape) == (5, 7) for variable in optimizer.variables) == shapes
        assert ("momentum" in optimizer.hyperparameters) == bool(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rho": 1.0}, "`rho` must be a number >= 0 and < 1. Received: rho=1.0."),
        ({"rho": None}, "`rho` must be a number >= 0 and < 1. Received: rho=None."),
        ({"momentum": 2}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=2."),
        ({"nesterov": True}, "`nesterov` needs a momentum. Received: nesterov=True, momentum=0.0."),
        ({"nesterov": "yes"}, "`nesterov` must be True or False. Received: nesterov='yes'."),
        ({"epsilon": 0.0}, "`epsilon` must be a number > 0. Received: epsilon=0.0. Use a tiny one, such as 1e-30"),
    ],
    ids=str,
)
def test_a_bad_argument_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        TextbookRMSProp(**arguments)
    assert message in str(error.value)
