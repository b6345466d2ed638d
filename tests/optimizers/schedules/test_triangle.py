import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers.schedules import Triangle


@pytest.mark.parametrize("peak_fraction", [0.0, 0.001, 0.23, 0.29, 0.5, 1.0])
@pytest.mark.parametrize(("start", "peak", "end"), [(0.2, 1.0, 0.07), (0.0, 1.0, 0.0), (1.0, 0.2, 0.5)])
@pytest.mark.parametrize("total_steps", [1, 100, 783])
def test_a_whole_run_is_numpy_interp(rates, start, peak, end, peak_fraction, total_steps):
    # The three points of airbench (arXiv:2404.00498), which multiplies the rate by numpy.interp of them.
    points = [0, int(peak_fraction * total_steps), total_steps]
    expected = 3.0 * np.interp(np.arange(total_steps + 20), points, [start, peak, end])
    schedule = Triangle(3.0, total_steps, start, peak, end, peak_fraction)
    np.testing.assert_allclose(rates(schedule, range(total_steps + 20)), expected, rtol=1e-6)


def test_the_corners_by_hand(rates):
    schedule = Triangle(1.0, 10, start=0.2, peak=1.0, end=0.4, peak_fraction=0.4)
    expected = [0.2, 0.4, 0.6, 0.8, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4]
    np.testing.assert_allclose(rates(schedule, range(12)), expected, rtol=1e-6)


def test_equals_optax(rates):
    optax = pytest.importorskip("optax")
    rise, fall = optax.linear_schedule(0.4, 2.0, 23), optax.linear_schedule(2.0, 0.14, 77)
    theirs = optax.join_schedules([rise, fall], [23])
    ours = Triangle(2.0, 100, start=0.2, end=0.07, peak_fraction=0.23)
    np.testing.assert_allclose(rates(ours, range(120)), [float(theirs(step)) for step in range(120)], rtol=1e-6)


@pytest.mark.backend
def test_the_last_steps_of_a_long_run(rates):
    total = 2**31 - 5
    schedule = Triangle(1.0, total, peak_fraction=0.5)
    expected = [left / (total - total // 2) for left in (7, 1, 0, 0)]
    np.testing.assert_allclose(rates(schedule, [total - 7, total - 1, total, total + 4]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0}, "`learning_rate` must be a number > 0. Received: learning_rate=0"),
        ({"total_steps": 0}, "`total_steps` must be a whole number >= 1. Received: total_steps=0"),
        ({"start": -0.1}, "`start` must be a number >= 0. Received: start=-0.1"),
        ({"peak": float("inf")}, "`peak` must be a number >= 0. Received: peak=inf"),
        ({"end": None}, "`end` must be a number >= 0. Received: end=None"),
        ({"peak_fraction": 23}, "`peak_fraction` must be a number >= 0 and <= 1. Received: peak_fraction=23"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        Triangle(**{"learning_rate": 0.1, "total_steps": 10, **arguments})
