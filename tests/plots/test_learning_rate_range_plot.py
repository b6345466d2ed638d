import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.diagnostics import LearningRateRange
from kerastrain.plots import learning_rate_range


def test_the_curve_and_the_range_are_drawn():
    found = LearningRateRange([1e-3, 1e-2, 0.1, 1.0], [3.0, 2.0, 1.0, 90.0], [3.0, 2.5, 2.0, 9.0], 1e-3, 1e-2, "x")
    (axes,) = learning_rate_range(found, title="a").axes
    loss, smoothed, minimum, maximum = axes.lines
    np.testing.assert_array_equal(smoothed.get_ydata(), found.smoothed_losses)
    np.testing.assert_array_equal(loss.get_ydata(), found.losses)
    np.testing.assert_array_equal(loss.get_xdata(), found.rates)
    assert [line.get_xdata()[0] for line in (minimum, maximum)] == [1e-3, 1e-2]
    assert axes.get_xscale() == "log" and axes.get_title() == "a"
    low, high = axes.get_ylim()
    assert low < 2.0 and 3.0 < high < 9.0  # The explosion at the end does not press the rest flat.


def test_no_suggestion_and_one_step():
    found = LearningRateRange([1e-3], [3.0], [3.0], None, None, "x")
    assert len(learning_rate_range(found).axes[0].lines) == 2


def test_nothing_to_draw():
    with pytest.raises(InputError, match="at least one step"):
        learning_rate_range(LearningRateRange([], [], [], None, None, "x"))
