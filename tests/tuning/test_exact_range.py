from decimal import Decimal

import pytest

from kerastrain.tuning.exact_range import MAX_POINTS, spaced, stepped


def test_steps_are_exact_decimals_with_both_ends():
    assert stepped(0.0, 0.3, 0.1) == [Decimal(0), Decimal("0.1"), Decimal("0.2"), Decimal("0.3")]
    # 0.1 + 0.1 + 0.1 is not 0.3 in floating point; the points are the nearest floats all the same.
    assert [float(point) for point in stepped(0.0, 0.7, 0.1)] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_log_steps_multiply():
    assert [float(point) for point in stepped(1e-5, 1e-1, 10, "log")] == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert [int(point) for point in stepped(2, 32, 2, "log")] == [2, 4, 8, 16, 32]


def test_spaced_points_are_the_nearest_floats():
    assert [float(point) for point in spaced(0.1, 0.5, 5)] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert [float(point) for point in spaced(0.0, 1.0, 4)] == [0.0, 1 / 3, 2 / 3, 1.0]
    assert [float(point) for point in spaced(1e-4, 1e-1, 4, "log")] == [1e-4, 1e-3, 1e-2, 1e-1]
    # The geometric mean of 0.3 and 0.7 is sqrt(0.21) = 0.458257569495584000...
    assert [float(point) for point in spaced(0.3, 0.7, 3, "log")] == [0.3, 0.4582575694955840, 0.7]


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.7), (1e-7, 3.3), (0.3, 0.30000000000000004), (1e-300, 1e300)])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_ends_are_met_bit_for_bit(low, high, scale):
    points = [float(point) for point in spaced(low, high, 7, scale)]
    assert points[0] == low
    assert points[-1] == high
    assert points == sorted(points)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((0.0, 1.0, 0.3), "must end at `max`, 1; they meet 0.9 and 1.2"),
        ((1.0, 50.0, 10, "log"), "they meet 10 and 100"),
        ((1.0, 50.0, 1, "log"), "must be above 1"),
        ((0.0, 1.0, 1e-9), f"at most {MAX_POINTS} points"),
    ],
)
def test_steps_that_do_not_fit_are_refused(arguments, part):
    with pytest.raises(ValueError, match="step") as caught:
        stepped(*arguments)
    assert part in str(caught.value)
