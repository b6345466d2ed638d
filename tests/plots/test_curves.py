import sys

import matplotlib.figure
import numpy as np
import pytest

from kerastrain.plots import curves

HISTORY = [
    {
        "epoch": 0,
        "loss": 2.0,
        "accuracy": 0.1,
        "val_loss": 2.5,
        "val_accuracy": 0.2,
        "learning_rate": 0.1,
        "seconds": 3,
    },
    {
        "epoch": 1,
        "loss": 1.0,
        "accuracy": 0.4,
        "val_loss": 1.5,
        "val_accuracy": 0.3,
        "learning_rate": 0.05,
        "seconds": 2,
    },
]


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_the_numbers_are_on_the_axes():
    figure = curves(HISTORY, title="a run")
    assert isinstance(figure, matplotlib.figure.Figure)
    assert figure.get_suptitle() == "a run"
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ["loss", "accuracy", "learning rate"]
    assert lines(panels["loss"]) == {"training": ([1, 2], [2.0, 1.0]), "validation": ([1, 2], [2.5, 1.5])}
    assert lines(panels["accuracy"]) == {"training": ([1, 2], [0.1, 0.4]), "validation": ([1, 2], [0.2, 0.3])}
    assert list(lines(panels["learning rate"]).values()) == [([1, 2], [0.1, 0.05])]
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    assert panels["learning rate"].get_legend() is None


def test_the_averaged_weights_have_a_line_of_their_own():
    rows = [{**row, "val_averaged_loss": value} for row, value in zip(HISTORY, (2.25, 1.25), strict=True)]
    panels = {axes.get_title(): lines(axes) for axes in curves(rows).axes}
    assert panels["loss"]["validation, averaged"] == ([1, 2], [2.25, 1.25])
    assert set(panels) == {"loss", "accuracy", "learning rate"} and len(panels["accuracy"]) == 2


def test_a_figure_of_its_own_that_draws(tmp_path):
    figure = curves([{"epoch": 4, "loss": 1.0}])
    assert lines(figure.axes[0]) == {"training": ([5], [1.0])}
    figure.savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_value_that_is_missing_or_not_finite_leaves_a_gap():
    rows = [{"epoch": 0, "loss": 1.0}, {"epoch": 1, "loss": float("nan")}, {"epoch": 2}]
    values = np.array(lines(curves(rows).axes[0])["training"][1], dtype=float)
    assert values[0] == 1.0 and np.isnan(values[1:]).all()


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="`history` must have at least one epoch"):
        curves([])
