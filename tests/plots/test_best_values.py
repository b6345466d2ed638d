import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.plots import best_values


def test_a_line_steps_and_has_a_dot_where_it_got_better():
    panels = {"val_loss": {"one": [None, 3.0, 3.0, 2.0], "two": [1.0]}, "val_accuracy": {"two": [0.1, 0.2]}}
    figure = best_values(panels, log=["val_loss"])
    first, second = figure.axes
    line, dots = first.lines[0], first.lines[1]
    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_array_equal(line.get_ydata(), [np.nan, 3.0, 3.0, 2.0])
    assert list(dots.get_xdata()) == [2, 4]
    assert list(dots.get_ydata()) == [3.0, 2.0]
    assert (first.get_yscale(), second.get_yscale()) == ("log", "linear")
    assert first.lines[2].get_color() == second.lines[0].get_color() != line.get_color()
    assert [text.get_text() for text in figure.legends[0].texts] == ["one", "two"]


@pytest.mark.parametrize("panels", [{}, {"val_loss": {}}, {"val_loss": {"one": [None]}}])
def test_nothing_to_draw_is_refused(panels):
    with pytest.raises(InputError, match="`panels` must have a value in each panel"):
        best_values(panels)


def test_lines_that_run_together_are_told_apart():
    same = [3.0, 3.0, 2.0]
    figure = best_values({"val_loss": {"one": same, "two": list(same), "three": same[:2]}, "val_f1": {"three": [0.5]}})
    lines, marks = figure.axes[0].lines[0::2], figure.axes[0].lines[1::2]
    labels = ["one", "two (the same curve as one)", "three"]
    assert [line.get_label() for line in lines] == labels
    assert [text.get_text() for text in figure.legends[0].texts] == labels
    assert len({(line.get_linestyle(), line.get_color()) for line in lines}) == 3
    # The first lies on top, and each below it is larger.
    assert [mark.get_markersize() for mark in marks] == sorted({mark.get_markersize() for mark in marks})
    assert [mark.get_zorder() for mark in marks] == sorted((mark.get_zorder() for mark in marks), reverse=True)
    assert figure.axes[1].lines[0].get_color() == lines[2].get_color()
