"""The pictures of a report that have trials on their axes, and the importances, as plotly figures."""

from collections.abc import Iterable
from typing import Any

from kerastrain.tuning.recorded_search import PRUNED, RecordedSearch
from kerastrain.tuning.records import COMPLETED, DIVERGED, TrialRecord
from kerastrain.tuning.report_look import COLORS, about, dressed, inside, limits, limits_of, padded, shortened


def best_over_trials(search: RecordedSearch) -> Any:
    """Every trial's value where it ended, and the line of the best so far."""
    from plotly import graph_objects

    figure, low_high = graph_objects.Figure(), limits(search)
    for status, trials in _by_status(search):
        placed = [(trial, search.reached(trial)) for trial in trials]
        figure.add_scatter(
            x=[trial.number for trial, _ in placed],
            # One without a value stands where the worst are.
            y=[inside(value, low_high, search.objective.mode) for _, value in placed],
            mode="markers",
            name=status,
            marker={"color": COLORS[status], "size": 7, "symbol": "circle" if status == COMPLETED else "x"},
            text=[about(search, trial) for trial, _ in placed],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.add_scatter(
        x=[trial.number for trial in search.trials],
        y=search.best_so_far,
        mode="lines",
        name="best so far",
        line={"color": COLORS["best"], "width": 2.5, "shape": "hv"},
        hovertemplate="best after %{x} trials: %{y:.5g}<extra></extra>",
    )
    figure = dressed(figure, "trial", search.objective.metric, 340, y_range=padded(low_high))
    last = max(trial.number for trial in search.trials)
    return figure.update_xaxes(range=[0.5 - 0.01 * last, 0.5 + 1.01 * last], dtick=1 if last <= 20 else None)


def importance_bars(shares: dict[str, float]) -> Any:
    """The importances as bars, the largest on top."""
    from plotly import graph_objects

    names = list(shares)[::-1]
    figure = graph_objects.Figure()
    figure.add_bar(
        x=[shares[name] for name in names],
        y=[shortened(name, 28) for name in names],
        orientation="h",
        marker={"color": COLORS["best"]},
        text=[f"{shares[name]:.0%}" for name in names],
        textposition="outside",
        cliponaxis=False,
        customdata=names,
        hovertemplate="%{customdata}: %{x:.1%}<extra></extra>",
    )
    figure = dressed(figure, "", "", 60 + 30 * len(names), legend=False)
    figure.update_xaxes(visible=False, range=[0, 1.12 * max(shares.values(), default=1.0)])
    figure.update_yaxes(showgrid=False, type="category", ticks="", automargin=True)
    return figure.update_layout(bargap=0.35, margin={"t": 10, "b": 10})


def learning_curves(search: RecordedSearch) -> Any:
    """The objective of every trial over its epochs; a trial that was cut off ends in a cross."""
    from plotly import graph_objects

    figure, metric = graph_objects.Figure(), search.objective.metric
    seen: set[str] = set()
    best = search.best.number if search.best else None
    for trial in sorted(search.trials, key=lambda trial: trial.number == best):
        curve = search.curve(trial)
        if not curve:
            continue
        kind = "best" if trial.number == best else trial.status
        cut = trial.status != COMPLETED
        figure.add_scatter(
            x=[epoch for epoch, _ in curve],
            y=[value for _, value in curve],
            mode="lines+markers" if len(curve) == 1 or cut or kind == "best" else "lines",
            name=kind if kind != "best" else f"best: trial {best}",
            legendgroup=kind,
            showlegend=kind not in seen,
            legendrank=list(COLORS).index(kind) if kind in COLORS else len(COLORS),
            line={"color": COLORS.get(kind, COLORS[DIVERGED]), "width": 3 if kind == "best" else 1.2},
            marker={
                "symbol": "x" if cut else "circle",
                "size": [0] * (len(curve) - 1) + [8] if cut else 5,
                "color": COLORS.get(kind, COLORS[DIVERGED]),
            },
            opacity=1.0 if kind == "best" or cut else 0.5,
            hovertext=about(search, trial),
            hovertemplate="%{hovertext}<br>epoch %{x}: %{y:.5g}<extra></extra>",
        )
        seen.add(kind)
    figure = dressed(figure, "epoch", metric, 420, y_range=padded(_curve_limits(search)))
    longest = max((epoch for trial in search.trials for epoch, _ in search.curve(trial)), default=1)
    return figure.update_xaxes(dtick=1 if longest <= 20 else None)


def _curve_limits(search: RecordedSearch) -> tuple[float, float]:
    values = [value for trial in search.ranked or search.trials for _, value in search.curve(trial)]
    return limits_of(values, search.objective.mode)


def _by_status(search: RecordedSearch) -> Iterable[tuple[str, list[TrialRecord]]]:
    for status in (COMPLETED, PRUNED, DIVERGED):
        found = [trial for trial in search.trials if trial.status == status]
        if found:
            yield status, found
