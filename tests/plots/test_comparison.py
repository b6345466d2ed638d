import sys

import matplotlib.figure
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.plots import comparison

NAN, INF = float("nan"), float("inf")


def named(axes):
    """Label -> (x, y) of the lines that the legend has."""
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.lines
        if not line.get_label().startswith("_")
    }


def unnamed(axes, marker="None"):
    """(x, y) of the lines without a label: the seeds, or with `marker="x"` the crosses."""
    lines = [line for line in axes.lines if line.get_label().startswith("_") and line.get_marker() == marker]
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in lines]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_numbers_are_on_the_axes():
    figure = comparison(
        {"loss": {"slow": [3.0, 2.5], "fast": [3.0, 1.0]}, "accuracy": {"fast": [0.1, 0.6]}}, title="two rates"
    )
    assert isinstance(figure, matplotlib.figure.Figure)
    assert figure.get_suptitle() == "two rates"
    loss, accuracy = figure.axes
    assert (loss.get_title(), accuracy.get_title(), loss.get_xlabel()) == ("loss", "accuracy", "epoch")
    assert named(loss) == {"slow": ([1, 2], [3.0, 2.5]), "fast": ([1, 2], [3.0, 1.0])}
    assert named(accuracy) == {"fast": ([1, 2], [0.1, 0.6])}
    assert legend(figure) == ["slow", "fast"]


def test_a_variant_has_one_color_in_all_panels_and_others_have_others():
    figure = comparison({"a": {"one": [1], "two": [2]}, "b": {"two": [3], "three": [4]}})
    colors = [{line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes]
    assert colors[0]["two"] == colors[1]["two"]
    assert len({colors[0]["one"], colors[0]["two"], colors[1]["three"]}) == 3


def test_seeds_are_thin_lines_and_their_median_a_thick_one():
    (axes,) = comparison({"loss": {"fast": [[3.0, 1.0], [5.0, 2.0], [4.0, 9.0]]}}).axes
    assert named(axes) == {"fast": ([1, 2], [4.0, 2.0])}
    assert unnamed(axes) == [([1, 2], [3.0, 1.0]), ([1, 2], [5.0, 2.0]), ([1, 2], [4.0, 9.0])]


def test_a_run_that_diverges_ends_in_a_cross_and_the_median_with_it():
    (axes,) = comparison({"loss": {"high": [[1.0, 2.0, 3.0], [1.0, 8.0, INF], [1.0, NAN, NAN]]}}, x=[0, 5, 9]).axes
    assert unnamed(axes, "x") == [([5], [8.0]), ([0], [1.0])]
    median = named(axes)["high"][1]
    assert median[0] == 1.0 and np.isnan(median[1:]).all()


def test_x_log_axes_limits_and_marks(tmp_path):
    figure = comparison(
        {"loss": {"a": [1.0, 10.0, 100.0], "short": [2.0]}, "rate": {"a": [0, 1, 2]}},
        x=[1, 10, 100],
        x_label="step",
        log=["loss"],
        log_x=True,
        limits={"rate": (-1, None)},
        marks={"switch": 20},
    )
    loss, rate = figure.axes
    assert (loss.get_yscale(), rate.get_yscale(), loss.get_xscale(), loss.get_xlabel()) == (
        "log",
        "linear",
        "log",
        "step",
    )
    assert named(loss)["a"] == ([1, 10, 100], [1.0, 10.0, 100.0])
    assert named(loss)["short"] == ([1], [2.0])
    assert named(loss)["switch"][0] == [20, 20]
    assert rate.get_ylim()[0] == -1
    assert legend(figure) == ["a", "short", "switch"]
    figure.savefig(tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize("panels", [1, 2])
def test_the_legend_lies_within_the_figure(panels, tmp_path):
    variants = {f"{index}, of a rate with a rather long name": [1.0, 2.0] for index in range(5)}
    figure = comparison({str(panel): variants for panel in range(panels)})
    figure.savefig(tmp_path / "comparison.png")  # Only drawing lays out.
    place, whole = figure.legends[0].get_window_extent(), figure.bbox
    assert whole.x0 <= place.x0 and place.x1 <= whole.x1
    assert whole.y0 <= place.y0 and place.y1 < min(axes.get_window_extent().y0 for axes in figure.axes)


def test_more_variants_than_colors():
    figure = comparison({"loss": {str(index): [index] for index in range(12)}})
    assert len(legend(figure)) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"panels": {}}, "`panels` must map titles to variants"),
        ({"panels": {"loss": {}}}, "`panels` must map titles to variants, none of them empty"),
        ({"panels": [1.0]}, "`panels` must map titles to variants"),
        ({"panels": {"loss": {"a": []}}}, r"`panels\['loss'\]\['a'\]` must be numbers.*shape \(0,\)"),
        ({"panels": {"loss": {"a": [[1.0], [1.0, 2.0]]}}}, r"equally long rows of them.*\[\[1.0\], \[1.0, 2.0\]\]"),
        ({"panels": {"loss": {"a": ["high"]}}}, "must be numbers"),
        ({"panels": {"loss": {"a": np.zeros((2, 2, 2))}}}, r"shape \(2, 2, 2\)"),
        (
            {"x": [1]},
            "`x` must have a place for each value. Received: 1 places, and 2 values of 'a' in the panel 'loss'",
        ),
        ({"log": ["los"]}, "`log` must name panels, which are loss. Received: 'los'"),
        ({"limits": {"los": (0, 1)}}, "`limits` must name panels"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        comparison(**{"panels": {"loss": {"a": [1.0, 2.0]}}, **arguments})
