"""The pictures of a report that have parameters on their axes: parallel coordinates, and a slice for each."""

import ast
import math
import statistics
from collections.abc import Sequence
from typing import Any

from kerastrain.tuning.optuna_study import is_log, label, labels, study
from kerastrain.tuning.parameters import IntParameter
from kerastrain.tuning.recorded_search import RecordedSearch
from kerastrain.tuning.records import COMPLETED, TrialRecord
from kerastrain.tuning.report_look import (
    COLORS,
    SMALL,
    TEXT,
    dressed,
    escaped,
    shortened,
    shortened_apart,
)
from kerastrain.tuning.report_scale import draw_edge, marker_of, round_ticks, scale_of, scale_of_search
from kerastrain.tuning.table import short_names, shown

MAX_AXES = 12
"""Of the parallel coordinates: more cannot be read."""

_BESIDE = 8  # So many names stand beside each other on an axis; more stand below each other.


def parallel_coordinates(search: RecordedSearch, paths: Sequence[str]) -> Any:
    """A line for each trial through its parameters to its value, the better the darker.

    Optuna's own leaves out every trial that lacks a parameter, so all of a search whose parameters exclude each other.

    Args:
        search: with at least one trial of a value.
        paths: the parameters to draw, at most `MAX_AXES`.
    """
    from plotly import graph_objects

    trials = [trial for trial in search.trials if search.reached(trial) is not None]
    scale = scale_of_search(search)
    values = [scale.place(search.reached(trial)) for trial in trials]
    # The worst first, so that the best are drawn over them.
    order = sorted(range(len(trials)), key=lambda place: -search.objective.sortable(values[place]))
    trials, values = [trials[place] for place in order], [values[place] for place in order]
    names = short_names(search.space)
    axes = [_axis(search, path, trials, names[path]) for path in paths]
    places, texts = scale.ticks()
    axes.append(
        {
            "label": search.objective.metric,
            "values": values,
            "range": scale.ends(0.02),
            "tickvals": places,
            "ticktext": texts,
        }
    )
    figure = graph_objects.Figure(
        graph_objects.Parcoords(
            dimensions=axes,
            line={
                "color": [place / max(1, len(trials) - 1) for place in range(len(trials))],
                "colorscale": [[0, "#dbe4ee"], [0.6, "#8fb2d3"], [0.9, "#2f74b5"], [1, "#08306b"]],
                "cmin": 0,
                "cmax": 1,
            },
            labelangle=-20,
            labelfont={"size": 13, "color": TEXT},
            tickfont={"size": 11, "color": TEXT},
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
        )
    )
    left = max(70, 20 + 7 * max(len(text) for text in axes[0].get("ticktext", [""])))
    return dressed(figure, "", "", 430, legend=False).update_layout(margin={"l": left, "r": 60, "t": 90, "b": 30})


def _axis(search: RecordedSearch, path: str, trials: Sequence[TrialRecord], name: str) -> dict[str, Any]:
    parameter, places = search.space[path], labels(search.space[path])
    called = [label(parameter, trial.parameters[path]) if path in trial.parameters else None for trial in trials]
    if places is not None:
        used = [place for place in places if place in called]
        values = [None if name is None else float(used.index(name)) for name in called]
        ticks, texts = [float(place) for place in range(len(used))], list(shortened_apart(used).values())
        low, high = -0.5, len(used) - 0.5
    else:
        log = is_log(parameter)
        values = [None if number is None else math.log10(number) if log else float(number) for number in called]
        low, high = (end(value for value in values if value is not None) for end in (min, max))
        ticks, texts = round_ticks(low, high, log=log, whole=isinstance(parameter, IntParameter))
    room = 0.14 * ((high - low) or 1.0)
    if None in values:
        values = [low - room if value is None else value for value in values]
        ticks, texts, low = [low - room, *ticks], ["not active", *texts], low - room
    pad = 0.03 * ((high - low) or 1.0)
    return {
        "label": shortened(name, 22),
        "values": values,
        "range": [low - pad, high + pad],
        "tickvals": ticks,
        "ticktext": texts,
    }


def slices(search: RecordedSearch, paths: Sequence[str]) -> list[Any]:
    """For each parameter a figure of the values that the completed trials had with it, by Optuna.

    A small one to stand beside others; a parameter of many names has them below each other, the best on average on top.
    """
    import optuna

    made, names = study(search), short_names(search.space)
    trials = made.get_trials(deepcopy=False)
    there = {name for trial in trials for name in trial.params}
    figures = []
    for path in paths:
        if names[path] in there:
            figure = optuna.visualization.plot_slice(made, [names[path]], target_name=search.objective.metric)
            numbers = [trials[int(place)].user_attrs["number"] for place in figure.data[0].marker.color]
            figures.append(_slice(search, path, figure, numbers))
    return figures


def _slice(search: RecordedSearch, path: str, figure: Any, numbers: list[int]) -> Any:
    trace, parameter, mode = figure.data[0], search.space[path], search.objective.mode
    chosen = search.best.number if search.best is not None else None
    # The best last, so that it lies on top.
    order = sorted(range(len(numbers)), key=lambda place: numbers[place] == chosen)
    xs, ys, numbers = ([column[place] for place in order] for column in (trace.x, trace.y, numbers))
    scale, values = scale_of(ys, mode), list(ys)
    ys = [scale.place(value) for value in values]
    best = [number == chosen for number in numbers]
    trace.marker = {
        "color": [COLORS["best"] if one else COLORS[COMPLETED] for one in best],
        "size": [14 if one else 7 for one in best],
        "symbol": [
            marker_of(scale, value, "star" if one else "circle") for value, one in zip(values, best, strict=True)
        ],
        "opacity": 0.85,
        "line": {"color": "white", "width": 0.7},
    }
    trace.customdata = list(zip(numbers, map(shown, values), strict=True))
    figure.update_layout(title=None, width=None)
    name, places = short_names(search.space)[path], labels(parameter)
    parameter_axis, value_axis = "x", "y"
    if places is None:
        _number_slice(figure, shortened(name, 34), xs, ys, log=is_log(parameter))
        if isinstance(parameter, IntParameter) and not is_log(parameter):
            ticks, texts = round_ticks(min(xs), max(xs), log=False, whole=True)
            figure.update_xaxes(tickvals=ticks, ticktext=texts)
    else:
        called = [ast.literal_eval(str(x)) for x in xs]  # Optuna writes text as Python does, with its quotes.
        used = [place for place in places if place in called]
        if len(used) <= _BESIDE:
            _named_slice(figure, shortened(name, 34), used, called, ys)
        else:
            parameter_axis, value_axis = "y", "x"
            _tall_slice(figure, f"{shortened(name, 34)}: {search.objective.metric}", used, called, ys, mode)
    trace.hovertemplate = (
        f"trial %{{customdata[0]}}<br>{escaped(name)} %{{{parameter_axis}}}<br>%{{customdata[1]}}<extra></extra>"
    )
    draw_edge(figure, scale, value_axis)
    return figure.update_layout(margin={"l": 48, "r": 12, "t": 12, "b": 44})


def _number_slice(figure: Any, title: str, xs: Any, ys: Any, *, log: bool) -> None:
    figure.data[0].update(x=xs, y=ys)
    dressed(figure, title, "", SMALL, legend=False)
    if log:
        powers, texts = round_ticks(math.log10(min(xs)), math.log10(max(xs)), log=True, whole=False)
        figure.update_xaxes(tickvals=[10**power for power in powers], ticktext=texts)


def _named_slice(figure: Any, title: str, used: Sequence[str], called: Sequence[str], ys: Any) -> None:
    short = shortened_apart(used)
    figure.data[0].update(x=[short[name] for name in called], y=ys)
    dressed(figure, title, "", SMALL, legend=False)
    angle = -25 if sum(map(len, short.values())) > 26 else 0
    ends = [-0.5, len(used) - 0.5]
    figure.update_xaxes(
        type="category", categoryarray=list(short.values()), tickangle=angle, range=ends, automargin=True
    )


def _tall_slice(
    figure: Any,
    title: str,
    used: Sequence[str],
    called: Sequence[str],
    values: Sequence[float],
    mode: str,
) -> None:
    pairs = list(zip(called, values, strict=True))
    mean = {name: statistics.fmean(value for one, value in pairs if one == name) for name in used}
    order = sorted(used, key=lambda name: mean[name], reverse=mode == "min")
    figure.data[0].update(x=values, y=called)
    dressed(figure, title, "", 70 + 22 * len(used), legend=False)
    figure.update_xaxes(type="linear", categoryarray=None, categoryorder=None)
    ends = [-0.5, len(used) - 0.5]
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=order, range=ends, automargin=True)
