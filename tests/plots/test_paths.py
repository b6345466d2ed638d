import sys

import matplotlib.figure
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.plots import paths

STRAIGHT, AROUND = [(2.0, 2.0), (1.0, 1.0), (0.0, 0.0)], [(2.0, 2.0), (0.0, 2.0), (-1.0, 0.5)]


def bowl(x, y):
    return x**2 + y**2


def walked(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines if not line.get_label().startswith("_")}


def test_the_points_are_on_the_axes():
    walks = {"bowl": {"straight": STRAIGHT, "around": np.array(AROUND)}, "slope": {"straight": STRAIGHT}}
    figure = paths({"bowl": bowl, "slope": lambda x, y: x + y}, walks, title="two surfaces")
    assert isinstance(figure, matplotlib.figure.Figure)
    assert figure.get_suptitle() == "two surfaces"
    first, second = figure.axes
    assert (first.get_title(), second.get_title()) == ("bowl", "slope")
    assert walked(first) == {
        "straight": [list(point) for point in STRAIGHT],
        "around": [list(point) for point in AROUND],
    }
    assert walked(second) == {"straight": [list(point) for point in STRAIGHT]}
    colors = [{line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes]
    assert colors[0]["straight"] == colors[1]["straight"] != colors[0]["around"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["straight", "around"]


def test_each_path_has_its_end_and_its_start_marked():
    (axes,) = paths({"bowl": bowl}, {"bowl": {"straight": STRAIGHT}}).axes
    dots = {line.get_color(): line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "o"}
    (color,) = [line.get_color() for line in axes.lines if line.get_label() == "straight"]
    assert dots == {"black": [[2.0, 2.0]], color: [[0.0, 0.0]]}


def test_the_surface_is_drawn_from_its_heights():
    heights = []
    paths(
        {"bowl": lambda x, y: heights.append((x, y)) or bowl(x, y)},
        {"bowl": {"a": STRAIGHT}},
        limits={"bowl": (-1, 2, -3, 4)},
    )
    ((x, y),) = heights
    assert (x.min(), x.max(), y.min(), y.max()) == (-1, 2, -3, 4)
    (axes,) = paths({"bowl": bowl}, {"bowl": {"a": STRAIGHT}}, limits={"bowl": (-1, 2, -3, 4)}).axes
    assert (*axes.get_xlim(), *axes.get_ylim()) == (-1, 2, -3, 4)
    levels = axes.collections[-1].levels
    assert levels.min() >= 0 and levels.max() <= 20  # x^2 + y^2 there: 0 to 4 + 16


def test_without_limits_the_panel_holds_the_paths():
    (axes,) = paths({"bowl": bowl}, {"bowl": {"a": STRAIGHT, "b": AROUND}}).axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < -1 and right > 2 and bottom < 0 and top > 2
    (axes,) = paths({"bowl": bowl}, {"bowl": {"still": [(1.0, 1.0)]}}).axes
    assert axes.get_xlim()[0] < 1 < axes.get_xlim()[1]


def test_a_minimum_is_a_star_and_panels_lie_in_columns(tmp_path):
    surfaces = dict.fromkeys("abc", bowl)
    walks = {name: {"straight": STRAIGHT} for name in "abc"}
    figure = paths(surfaces, walks, minima={"b": (0.5, 0.25)}, columns=3)
    stars = {axes.get_title(): [line for line in axes.lines if line.get_marker() == "*"] for axes in figure.axes}
    assert [len(stars[name]) for name in "abc"] == [0, 1, 0]
    assert stars["b"][0].get_xydata().tolist() == [[0.5, 0.25]]
    assert figure.axes[0].get_gridspec().ncols == 3
    figure.savefig(tmp_path / "paths.png")
    assert (tmp_path / "paths.png").read_bytes().startswith(b"\x89PNG")
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"surfaces": {}}, "`surfaces` must map titles to functions"),
        ({"walks": {}}, "`walks` must have paths for each surface. Missing: bowl"),
        ({"walks": {"bowl": {}}}, "Missing: bowl"),
        ({"walks": {"bowls": {"a": STRAIGHT}}}, "`walks` has no surface for 'bowls'. Did you mean `bowl`"),
        ({"limits": {"slope": (0, 1, 0, 1)}}, "`limits` has no surface for 'slope'"),
        ({"minima": {"slope": (0, 1)}}, "`minima` has no surface for 'slope'"),
        ({"walks": {"bowl": {"a": [1.0, 2.0]}}}, r"`walks\['bowl'\]\['a'\]` must be points of shape .* \(2,\)"),
        ({"walks": {"bowl": {"a": [(0.0, np.inf)]}}}, "`limits` must have an entry for 'bowl'"),
        ({"columns": 0}, "`columns` must be a whole number >= 1"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        paths(**{"surfaces": {"bowl": bowl}, "walks": {"bowl": {"a": STRAIGHT}}, **arguments})
