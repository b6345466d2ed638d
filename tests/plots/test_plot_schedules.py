import sys

import keras
import matplotlib.figure
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers.schedules import StepDecay, Triangle
from kerastrain.plots import schedules

KERAS = keras.optimizers.schedules


def lines(figure):
    (axes,) = figure.axes
    return {line.get_label(): (np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in axes.lines}


class OneStepOnly(KERAS.LearningRateSchedule):
    """Gives for a vector what is right for none of its steps."""

    def __call__(self, step):
        return 1.0 / (1 + keras.ops.cast(keras.ops.max(step), "float32")) + 0.0 * keras.ops.cast(step, "float32")


def test_the_rates_are_on_the_axes():
    figure = schedules({"steps": StepDecay(0.8, 0.5, 2), "constant": 0.3}, 5, title="two")
    assert isinstance(figure, matplotlib.figure.Figure)
    drawn = lines(figure)
    assert list(drawn) == ["steps", "constant"]
    np.testing.assert_array_equal(drawn["steps"][0], [0, 1, 2, 3, 4])
    np.testing.assert_allclose(drawn["steps"][1], [0.8, 0.8, 0.4, 0.4, 0.2], rtol=1e-6)
    np.testing.assert_allclose(drawn["constant"][1], [0.3] * 5)
    (axes,) = figure.axes
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("two", "step", "learning rate")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["steps", "constant"]
    assert axes.get_yscale() == "linear" and axes.get_ylim()[0] <= 0


def test_schedules_that_take_one_step_at_a_time():
    # Keras's warmup is a condition on one step; the other gives wrong rates for a vector, without an error.
    warm = KERAS.CosineDecay(0.0, 10, warmup_target=0.4, warmup_steps=4)
    drawn = lines(schedules({"warm": warm, "own": OneStepOnly()}, 5))
    np.testing.assert_allclose(drawn["warm"][1], [0.0, 0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_allclose(drawn["own"][1], [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5], rtol=1e-6)


def test_a_long_run_is_a_thousand_points_from_its_first_to_its_last_step():
    total = 10**8
    x, y = lines(schedules({"triangle": Triangle(1.0, total, peak_fraction=0.0)}, total))["triangle"]
    assert len(x) == 1000 and x[0] == 0 and x[-1] == total - 1
    np.testing.assert_allclose(y, 1 - x / total, rtol=1e-6, atol=1e-12)


def test_a_logarithmic_axis_and_a_rate_of_0(tmp_path):
    figure = schedules({"warm": Triangle(1.0, 10)}, 10, log=True)
    assert figure.axes[0].get_yscale() == "log"
    figure.savefig(tmp_path / "schedules.png")
    assert (tmp_path / "schedules.png").read_bytes().startswith(b"\x89PNG")
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def test_one_step_is_a_visible_point():
    assert schedules({"a": 0.1}, 1).axes[0].lines[0].get_marker() == "o"


def test_many_lines_can_be_told_apart():
    figure = schedules({str(index): 0.1 for index in range(20)}, 3)
    assert len({(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"named": {}}, "`named` must be a mapping of a name to a schedule, not empty. Received: named={}"),
        ({"named": [0.1]}, "`named` must be a mapping"),
        ({"named": {"a": "cosine"}}, r"`named\['a'\]` must be a number. Received: .*'cosine'. Or pass a schedule"),
        ({"steps": 0}, "`steps` must be a whole number >= 1. Received: steps=0"),
        ({"log": 1}, "`log` must be True or False. Received: log=1"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        schedules(**{"named": {"a": 0.1}, "steps": 10, **arguments})
