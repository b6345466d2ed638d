import numpy as np
import pytest

from kerastrain import plots
from kerastrain._core.errors import InputError

GROUPS = {"activation": {"tanh": [0.5, 0.54], "relu": [0.6, 0.5]}, "dropout": {"none": [0.7, 0.3, 0.2]}}


def test_dots_means_and_the_baseline():
    axes = plots.effects(GROUPS, [0.4, 0.6], x_label="accuracy").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["baseline", "tanh", "relu", "none"]
    drawn = [list(line.get_xdata()) for line in axes.lines]
    for values in ([0.4, 0.6], [0.5, 0.54], [0.6, 0.5], [0.7, 0.3, 0.2]):
        assert values in drawn
        assert any(np.allclose(line, [sum(values) / len(values)]) for line in drawn if len(line) == 1)
    places = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert places == list(axes.get_yticks()) == sorted(set(places))
    assert [text.get_text() for text in axes.texts] == ["activation", "dropout"]
    assert axes.get_xlabel() == "accuracy"
    low, high = axes.get_ylim()
    assert low > high  # the first row is at the top


@pytest.mark.parametrize(
    ("groups", "baseline", "words"),
    [
        ({}, [1.0], "`groups`"),
        ({"a": {}}, [1.0], "`a` without one"),
        ({"a": {"b": []}}, [1.0], "`a: b`"),
        ({"a": {"b": [float("nan")]}}, [1.0], "`a: b`"),
        ({"a": {"b": [1.0]}}, [], "`baseline`"),
    ],
)
def test_bad_input(groups, baseline, words):
    with pytest.raises(InputError, match="Received") as caught:
        plots.effects(groups, baseline)
    assert words in str(caught.value)
