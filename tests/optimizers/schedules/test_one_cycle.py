import math

import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers.schedules import OneCycle


def reference(step, low, high, last, total, rise, shape):
    """torch's OneCycleLR, written down from its documentation and annealing functions."""

    def between(start, end, fraction):
        if shape == "linear":
            return start + (end - start) * fraction
        return end + (start - end) / 2 * (math.cos(math.pi * fraction) + 1)

    top, bottom = rise * total - 1, total - 1
    if step <= top:
        return between(low, high, step / top)
    return between(high, last, (min(step, bottom) - top) / (bottom - top))


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize(("total", "rise"), [(10, 0.3), (100, 0.23), (100, 0.0), (100, 1.0), (1000, 0.3), (4, 0.2)])
def test_a_whole_run_is_the_formula(rates, total, rise, shape):
    schedule = OneCycle(2.0, total, rise, initial_divisor=20.0, final_divisor=50.0, shape=shape)
    steps = range(total + 10 if rise < 1 else total)
    expected = [reference(step, 0.1, 2.0, 0.002, total, rise, shape) for step in steps]
    np.testing.assert_allclose(rates(schedule, steps), expected, rtol=1e-6)


def test_the_end_keeps_its_precision(rates):
    # 1 + cos(pi f) cancels there: in float32 the last steps would be wrong by parts in a thousand.
    schedule = OneCycle(1.0, 1000)
    expected = [reference(step, 0.04, 1.0, 4e-6, 1000, 0.3, "cosine") for step in range(990, 1000)]
    np.testing.assert_allclose(rates(schedule, range(990, 1000)), expected, rtol=1e-6)


def test_the_momentum_runs_against_the_rate(rates):
    momentum = OneCycle(2.0, 100, 0.3, shape="linear").momentum(minimal=0.8, maximal=0.9)
    expected = [reference(step, 0.9, 0.8, 0.9, 100, 0.3, "linear") for step in range(110)]
    np.testing.assert_allclose(rates(momentum, range(110)), expected, rtol=1e-6)
    assert momentum.name == "OneCycle_momentum"


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize(("total", "rise"), [(10, 0.3), (100, 0.23), (100, 0.0), (100, 1.0), (4, 0.2)])
def test_equals_torch(rates, torch_rates, total, rise, shape):
    theirs, their_momentum = torch_rates(
        lambda torch, optimizer: torch.OneCycleLR(
            optimizer, 0.5, total, pct_start=rise, anneal_strategy={"cosine": "cos"}.get(shape, shape)
        ),
        total,
    )
    ours = OneCycle(0.5, total, rise, shape=shape)
    np.testing.assert_allclose(rates(ours, range(total)), theirs, rtol=1e-6)
    np.testing.assert_allclose(rates(ours.momentum(), range(total)), their_momentum, rtol=1e-6)


def test_degenerate_runs_are_finite(rates):
    # Where torch divides by 0: a rise of one step, which is its own top, and the step after a rise that is the run.
    np.testing.assert_allclose(rates(OneCycle(1.0, 10, 0.1), [0]), [1.0], rtol=1e-6)
    np.testing.assert_allclose(rates(OneCycle(1.0, 10, 1.0), [9]), [1.0], rtol=1e-6)
    np.testing.assert_allclose(rates(OneCycle(1.0, 10, 1.0), [10, 11]), [4e-6] * 2, rtol=1e-6)
    np.testing.assert_allclose(rates(OneCycle(1.0, 1), [0, 1]), [4e-6] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maximal_learning_rate": -1}, "`maximal_learning_rate` must be a number > 0. Received: .*=-1"),
        ({"total_steps": 1.5}, "`total_steps` must be a whole number >= 1. Received: total_steps=1.5"),
        ({"rise_fraction": 30}, "`rise_fraction` must be a number >= 0 and <= 1. Received: rise_fraction=30"),
        ({"initial_divisor": 0}, "`initial_divisor` must be a number > 0. Received: initial_divisor=0"),
        ({"final_divisor": -2}, "`final_divisor` must be a number > 0. Received: final_divisor=-2"),
        ({"shape": "cos"}, "`shape` must be one of 'cosine', 'linear'. Received: shape='cos'. Did you mean `cosine`"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        OneCycle(**{"maximal_learning_rate": 0.1, "total_steps": 10, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"minimal": 0.0}, "`minimal` must be a number > 0 and < 1. Received: minimal=0.0"),
        ({"minimal": 0.95, "maximal": 0.85}, "`maximal` must be a number >= 0.95 and < 1. Received: maximal=0.85"),
        ({"maximal": 1.0}, "`maximal` must be a number >= 0.85 and < 1. Received: maximal=1.0"),
    ],
)
def test_invalid_momentum(arguments, message):
    with pytest.raises(InputError, match=message):
        OneCycle(0.1, 10).momentum(**arguments)
