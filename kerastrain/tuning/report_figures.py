"""The pictures of a report that have trials on their axes, and the importances, as plotly figures."""

from collections.abc import Iterable, Sequence
from typing import Any

from kerastrain.tuning.recorded_search import PRUNED, RecordedSearch
from kerastrain.tuning.records import COMPLETED, DIVERGED, TrialRecord
from kerastrain.tuning.report_look import COLORS, SYMBOLS, about, dressed, padded, shortened
from kerastrain.tuning.report_scale import draw_edge, limits_of, marker_of, scale_of_search
from kerastrain.tuning.table import shown


def best_over_trials(search: RecordedSearch) -> Any:
    """Every trial's value where it ended, and the line of the best so far; far values behind an edge."""
    from plotly import graph_objects

    figure, scale = graph_objects.Figure(), scale_of_search(search)
    for status, trials in _by_status(search):
        placed = [(trial, search.reached(trial)) for trial in trials]
        figure.add_scatter(
            x=[trial.number for trial, _ in placed],
            y=[scale.place(value) for _, value in placed],
            mode="markers",
            name=status,
            marker={
                "color": COLORS[status],
                "size": 8,
                "symbol": [marker_of(scale, value, SYMBOLS[status]) for _, value in placed],
            },
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
    figure = dressed(figure, "trial", search.objective.metric, 340)
    draw_edge(figure, scale)
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
    """The objective of every trial over its epochs; a trial that was cut off ends in a cross.

    Of repeats the best trial has all, with the mean of their best values, which is its value; the others the best one.
    """
    from plotly import graph_objects

    figure, metric = graph_objects.Figure(), search.objective.metric
    seen: set[str] = set()
    best = search.best.number if search.best else None
    for trial in sorted(search.trials, key=lambda trial: trial.number == best):
        kind = "best" if trial.number == best else trial.status
        for repeat in repeats_drawn(search, trial):
            curve = search.curve(trial, repeat)
            if not curve:
                continue
            told = about(search, trial) + (f"<br>repeat {repeat} of {search.repeats}" if search.repeats > 1 else "")
            cut, value = trial.status != COMPLETED, _value_of(search, trial, repeat)
            sizes = [0] * (len(curve) - 1) + [8] if cut else [10 if one == value else 5 for _, one in curve]
            _add_curve(figure, curve, kind, _called(search, kind), told, sizes, cut=cut, first=kind not in seen)
            seen.add(kind)
    longest = max((epoch for trial in search.trials for epoch, _ in search.curve(trial)), default=1)
    if search.best is not None and search.best.spread is not None:
        figure.add_scatter(
            x=[1, longest],
            y=[search.best.value] * 2,
            mode="lines",
            name=f"its value, {shown(search.best.value)}: the mean of the large dots",
            line={"color": COLORS["best"], "width": 1.2, "dash": "dot"},
            legendrank=len(COLORS) + 1,
            hoverinfo="skip",
        )
    figure = dressed(figure, "epoch", metric, 420, y_range=padded(curve_limits(search)))
    return figure.update_xaxes(dtick=1 if longest <= 20 else None)


def repeats_drawn(search: RecordedSearch, trial: TrialRecord) -> Sequence[int]:
    """Of the best trial all of its repeats, of any other the best one, whose curve stands for it."""
    if search.best is not None and trial.number == search.best.number and trial.repeats:
        return [int(one["repeat"]) for one in trial.repeats]
    return [trial.best_repeat]


def _value_of(search: RecordedSearch, trial: TrialRecord, repeat: int) -> float | None:
    """The best value of one repeat of the best trial, which goes into its mean; None where there is no mean."""
    if search.best is None or trial.number != search.best.number:
        return None
    return next((one["value"] for one in trial.repeats if one["repeat"] == repeat), None)


def _called(search: RecordedSearch, kind: str) -> str:
    if kind != "best" or search.best is None:
        return kind
    many = f", its {len(search.best.repeats)} repeats" if search.best.repeats else ""
    return f"best: trial {search.best.number}{many}"


def _add_curve(
    figure: Any,
    curve: Sequence[tuple[int, float]],
    kind: str,
    name: str,
    told: str,
    sizes: Sequence[int],
    *,
    cut: bool,
    first: bool,
) -> None:
    color, is_best = COLORS.get(kind, COLORS[DIVERGED]), kind == "best"
    figure.add_scatter(
        x=[epoch for epoch, _ in curve],
        y=[value for _, value in curve],
        mode="lines+markers" if len(curve) == 1 or cut or is_best else "lines",
        name=name,
        legendgroup=kind,
        showlegend=first,
        legendrank=list(COLORS).index(kind) if kind in COLORS else len(COLORS),
        line={"color": color, "width": 3 if is_best else 1.2},
        marker={"symbol": "x" if cut else "circle", "size": sizes, "color": color},
        opacity=1.0 if is_best or cut else 0.5,
        hovertext=told,
        hovertemplate="%{hovertext}<br>epoch %{x}: %{y:.5g}<extra></extra>",
    )


def curve_limits(search: RecordedSearch) -> tuple[float, float]:
    """From where to where curves are drawn: those of the completed trials, but for what is far off."""
    values = [value for trial in search.ranked or search.trials for _, value in search.curve(trial)]
    return limits_of(values, search.objective.mode)


def _by_status(search: RecordedSearch) -> Iterable[tuple[str, list[TrialRecord]]]:
    for status in (COMPLETED, PRUNED, DIVERGED):
        found = [trial for trial in search.trials if trial.status == status]
        if found:
            yield status, found
