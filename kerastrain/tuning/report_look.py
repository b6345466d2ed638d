"""What the pictures of a report have in common: colors, from where to where, how a trial is told."""

from collections.abc import Sequence
from typing import Any

from kerastrain.tuning.recorded_search import PRUNED, RecordedSearch
from kerastrain.tuning.records import COMPLETED, DIVERGED, TrialRecord
from kerastrain.tuning.table import short_names, shown

COLORS = {COMPLETED: "#7d93ab", PRUNED: "#d98200", DIVERGED: "#b2182b", "best": "#08519c"}
SYMBOLS = {COMPLETED: "circle", PRUNED: "diamond", DIVERGED: "x"}
SMALL = 250
"""Pixels of the height of a figure that stands beside others."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_GRID, TEXT, _AXIS = "#e3e6ea", "#24292f", "#9aa4af"
_LETTERS = 18  # Of a category's name on an axis.


def padded(low_high: tuple[float, float], share: float = 0.06) -> list[float]:
    """An axis's range with room at both ends."""
    low, high = low_high
    room = share * (high - low) or abs(high) * 0.05 or 1.0
    return [low - room, high + room]


def about(search: RecordedSearch, trial: TrialRecord) -> str:
    """What is told of a trial under the mouse."""
    names = short_names(search.space)
    value = search.reached(trial)
    head = f"<b>trial {trial.number}</b> {trial.status}" + ("" if value is None else f", {value:.5g}")
    head += f", the mean of {len(trial.repeats)} repeats" if search.spread(trial) is not None else ""
    return "<br>".join([head, *(f"{escaped(names[path])}={escaped(shown(v))}" for path, v in trial.parameters.items())])


def escaped(text: str) -> str:
    """Text that plotly takes for text."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def shortened(text: str, letters: int = _LETTERS) -> str:
    """The beginning and the end of what is too long for an axis."""
    return text if len(text) <= letters else f"{text[: letters // 2]}…{text[-(letters - letters // 2 - 1) :]}"


def shortened_apart(names: Sequence[str]) -> dict[str, str]:
    """Each name cut, or none of them where two would look alike."""
    short = {name: shortened(name) for name in names}
    return short if len(set(short.values())) == len(short) else {name: name for name in names}


def dressed(
    figure: Any, x: str, y: str, height: int, *, legend: bool = True, y_range: Sequence[float] | None = None
) -> Any:
    """One plain look for all: white, light grid, the legend in a row above."""
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        showlegend=legend,
        font={"family": _FONT, "size": 12, "color": TEXT},
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 62, "r": 20, "t": 34 if legend else 12, "b": 48},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": {"size": 12}},
        hoverlabel={"bgcolor": "white", "font": {"size": 12}, "align": "left"},
    )
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(gridcolor=_GRID, zeroline=False, linecolor=_AXIS, ticks="outside", tickcolor=_AXIS, ticklen=4)
    figure.update_xaxes(title={"text": x, "standoff": 8})
    figure.update_yaxes(title={"text": y, "standoff": 8}, range=y_range)
    return figure
