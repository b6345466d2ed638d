"""The three forms of momentum against NumPy, PyTorch, optax and Keras; the texts' claims about them."""

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
    numpy_walk,
    optax_walk,
    torch_walk,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers.momentum_sgd import MomentumSGD

FORMS = ("average", "velocity", "pytorch")


def expected_path(form, rate, momentum, nesterov=False, l2=0.0, weight_decay=0.0):
    """The formulas of the course's texts: 000 (average), 001 and 003 (velocity), 004 (pytorch)."""
    velocities = [np.zeros(value.shape) for value in START]

    def move(step, index, value, gradient):
        rho, a = momentum(step), rate(step)
        # The penalty's gradient is taken after decoupled decay, which Keras applies first.
        g = gradient + l2 * value
        v = velocities[index]
        if form == "average":
            velocities[index] = v = rho * v + (1 - rho) * g
            return value - a * (rho * v + (1 - rho) * g if nesterov else v)
        if form == "velocity":
            velocities[index] = v = rho * v - a * g
            return value + (rho * v - a * g if nesterov else v)
        velocities[index] = v = rho * v + g
        return value - a * (g + rho * v if nesterov else v)

    return numpy_walk(move, weight_decay=weight_decay, rate=rate)


@pytest.mark.backend
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "options", [{}, {"nesterov": True}, {"l2": 0.02}, {"weight_decay": 0.05}, {"nesterov": True, "l2": 0.02}], ids=str
)
def test_a_form_is_its_formula_under_a_moving_rate(form, options):
    schedule, rate = moving_rate()
    found = follow(MomentumSGD(schedule, momentum=0.9, form=form, **options))
    assert_same_path(found, expected_path(form, rate, lambda step: 0.9, **options))


@pytest.mark.backend
@pytest.mark.parametrize("form", FORMS)
def test_momentum_may_be_a_schedule(form):
    (schedule, rate), (moving, momentum) = moving_rate(), moving_momentum()
    found = follow(MomentumSGD(schedule, momentum=moving, form=form))
    assert_same_path(found, expected_path(form, rate, momentum))
    assert distance(found, expected_path(form, rate, lambda step: 0.95)) > 1e-3


def test_the_forms_part_only_under_a_moving_rate():
    # "average" at the rate a / (1 - rho) is "velocity" and "pytorch" at a, as long as the rate stays.
    same = [
        follow(MomentumSGD(0.05 / (1 - 0.8) if form == "average" else 0.05, momentum=0.8, form=form)) for form in FORMS
    ]
    assert_same_path(same[0], same[1], rtol=1e-5, atol=1e-5)
    assert_same_path(same[1], same[2], rtol=1e-5, atol=1e-5)
    velocity, pytorch = (follow(MomentumSGD(moving_rate()[0], form=form)) for form in ("velocity", "pytorch"))
    assert distance(velocity, pytorch) > 1e-3


def test_text_002_is_the_velocity_form_with_the_other_sign():
    velocities = [np.zeros(value.shape) for value in START]

    def move(step, index, value, gradient):
        velocities[index] = 0.9 * velocities[index] + 0.05 * gradient
        return value - velocities[index]

    assert_same_path(follow(MomentumSGD(0.05, momentum=0.9, form="velocity")), numpy_walk(move))


@pytest.mark.backend
@pytest.mark.parametrize(("form", "scale"), [("velocity", 1.0), ("pytorch", 1.0), ("average", 1 - 0.7)])
def test_the_unrolled_sum_of_text_003(form, scale):
    # w(n+1) = w(n) - eta sum_{i=0..n} rho^(n-i) g(i); the average's v has the factor 1 - rho.
    eta, rho = 0.05, 0.7
    path = [[value.astype(np.float64) for value in START], *follow(MomentumSGD(eta, momentum=rho, form=form))]
    seen = [gradients(values) for values in path]
    for n in range(STEPS):
        for index in range(len(START)):
            total = sum(rho ** (n - i) * seen[i][index] for i in range(n + 1))
            moved = path[n + 1][index] - path[n][index]
            np.testing.assert_allclose(moved, -eta * scale * total, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("form", FORMS)
def test_the_terminal_step_under_a_constant_gradient(form, rho):
    weight, optimizer = keras.Variable([0.0, 0.0]), MomentumSGD(0.1, momentum=rho, form=form)
    gradient = np.array([1.0, -2.0], np.float32)
    for _ in range(200):
        before = keras.ops.convert_to_numpy(weight).copy()
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
    expected = 0.1 if form == "average" else 0.1 / (1 - rho)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(weight) - before, -expected * gradient, rtol=1e-3)


def test_full_momentum_keeps_every_gradient():
    # Text 003: rho = 1, "all of last n gradients used".
    weight, optimizer = keras.Variable([0.0]), MomentumSGD(0.5, momentum=1.0)
    for gradient in (1.0, 2.0, 3.0):
        optimizer.apply([keras.ops.convert_to_tensor([gradient])], [weight])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), [-0.5 * (1 + (1 + 2) + (1 + 2 + 3))], rtol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("options", [{}, {"nesterov": True}, {"weight_decay": 0.05}], ids=str)
def test_the_velocity_form_is_keras_sgd(options):
    found = follow(MomentumSGD(moving_rate()[0], momentum=0.9, form="velocity", **options))
    expected = follow(keras.optimizers.SGD(moving_rate()[0], momentum=0.9, **options))
    assert_same_path(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.02])
def test_the_pytorch_form_is_torch_sgd(nesterov, l2):
    schedule, rate = moving_rate()
    expected = torch_walk("SGD", rate, momentum=0.9, nesterov=nesterov, weight_decay=l2)
    ours = follow(MomentumSGD(schedule, momentum=0.9, form="pytorch", nesterov=nesterov, l2=l2))
    assert_same_path(ours, expected)


@pytest.mark.parametrize("form", ["average", "pytorch"])
def test_forms_are_optax_ema_and_trace(form):
    optax = pytest.importorskip("optax")
    schedule, rate = moving_rate()
    memory = optax.ema(0.9, debias=False) if form == "average" else optax.trace(0.9)
    rule = optax.chain(memory, optax.scale_by_learning_rate(rate))
    expected = optax_walk(rule)
    assert_same_path(follow(MomentumSGD(schedule, momentum=0.9, form=form)), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.5}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=1.5."),
        ({"momentum": -0.1}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=-0.1."),
        ({"momentum": "0.9"}, "`momentum` must be a number >= 0 and <= 1. Received: momentum='0.9'."),
        ({"momentum": None}, "`momentum` must be a number >= 0 and <= 1. Received: momentum=None."),
        ({"momentum": 1.0, "form": "average"}, "`momentum` must be < 1 in the form 'average'"),
        ({"form": "veloctiy"}, "Did you mean `velocity`?"),
        ({"nesterov": 1}, "`nesterov` must be True or False. Received: nesterov=1."),
        ({"l2": -1.0}, "`l2` must be a number >= 0. Received: l2=-1.0. Use None to switch it off."),
    ],
    ids=str,
)
def test_a_bad_argument_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        MomentumSGD(**arguments)
    assert message in str(error.value)
