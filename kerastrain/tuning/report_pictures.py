"""The part of a report's page that has its pictures, each under a title and a sentence."""

from collections.abc import Sequence
from typing import Any

from kerastrain.tuning.optuna_study import MIN_TRIALS, by_importance, importances, varies
from kerastrain.tuning.recorded_search import RecordedSearch
from kerastrain.tuning.report_figures import best_over_trials, curve_limits, importance_bars, learning_curves
from kerastrain.tuning.report_look import SMALL
from kerastrain.tuning.report_parameters import MAX_AXES, parallel_coordinates, slices
from kerastrain.tuning.report_scale import scale_of, scale_of_search
from kerastrain.tuning.report_text import code

_MAX_SLICES = 24
_AXIS_WIDTH = 110  # Pixels; a page that is narrower scrolls.


def pictures(search: RecordedSearch) -> list[str]:
    """The sections, in the order of the page."""
    if not any(search.reached(trial) is not None for trial in search.trials):
        return [f"<p>There are no pictures: no epoch has a finite {code(search.objective.metric)}.</p>"]
    found = importances(search)
    paths = by_importance(search, found[0] if found is not None else {})
    sections = [_best(search), _importances(search, found)]
    if paths:
        sections += [_together(search, paths), _alone(search, paths)]
    return [*sections, _curves(search)]


def _best(search: RecordedSearch) -> str:
    sentence = "A point is a trial, the line the best so far: where it has long been flat, more trials bring little."
    behind = scale_of_search(search).behind
    if any(value is not None for value in behind):
        sentence += " Triangles behind the dashed line are far off the rest: in their order, and not to scale."
    sentence += " A cross at the outermost end is a trial without any value." if None in behind else ""
    return _section("Best value over trials", sentence, [best_over_trials(search)])


def _importances(search: RecordedSearch, found: tuple[dict[str, float], int] | None) -> str:
    title = "What mattered"
    if found is None:
        changing = sum(varies(search, path) for path in search.space)
        why = "fewer than two parameters vary" if changing < 2 else f"fewer than {MIN_TRIALS} trials have a value"
        return f"<h2>{title}</h2>\n<p>Importances are not computed: {why}.</p>"
    shares, best = found
    sentence = (
        f"What sets the {best} best trials apart from all, as shares of a whole (PED-ANOVA). With few trials luck "
        "alone gives any parameter a share."
    )
    return _section(title, sentence, [importance_bars(shares)])


def _together(search: RecordedSearch, paths: Sequence[str]) -> str:
    drawn = paths[:MAX_AXES]
    sentence = (
        "A line is a trial, from its parameters to its value at the right, the better the darker. Drag along an axis "
        "to keep the lines that pass there."
    )
    sentence += " At the right end what is called worse is in order, and not to scale." if _far(search) else ""
    sentence += f" The first {len(drawn)} of {len(paths)} parameters are drawn." if len(drawn) < len(paths) else ""
    picture = parallel_coordinates(search, drawn)
    return _section("Which values go together", sentence, [picture], width=_AXIS_WIDTH * (len(drawn) + 1))


def _alone(search: RecordedSearch, paths: Sequence[str]) -> str:
    sentence = (
        f"{code(search.objective.metric)} of the completed trials over one parameter, whatever the others were; the "
        "star is the best trial."
    )
    values = [trial.value for trial in search.ranked]
    sentence += " Triangles are far off, as above." if scale_of(values, search.objective.mode).behind else ""
    sentence += f" The first {_MAX_SLICES} of {len(paths)} parameters." if len(paths) > _MAX_SLICES else ""
    return _section("Each parameter by itself", sentence, slices(search, paths[:_MAX_SLICES]), grid=True)


def _curves(search: RecordedSearch) -> str:
    without = sum(search.reached(trial) is None for trial in search.trials)
    sentence = f"{code(search.objective.metric)} of every trial over its epochs; one that was cut off ends in a cross."
    if search.repeats > 1:
        sentence += (
            f" A trial is trained {search.repeats} times, and its value is the mean of its repeats' best values. The "
            "best trial has the curves of all of them, a large dot at the best value of each, and their mean as a "
            "dotted line; another trial has that of its best repeat."
        )
    sentence += " A click in the legend hides its curves, a double click in the picture shows what lies outside."
    outside = _outside(search)
    sentence += f" {outside} of the curves {'lies' if outside == 1 else 'lie'} outside altogether." if outside else ""
    sentence += f" {without} without any finite value have no curve." if without else ""
    return _section("Learning curves", sentence, [learning_curves(search)])


def _outside(search: RecordedSearch) -> int:
    """How many trials' curves have no point in the picture."""
    low, high = curve_limits(search)
    curves = [curve for curve in map(search.curve, search.trials) if curve]
    return sum(not any(low <= value <= high for _, value in curve) for curve in curves)


def _far(search: RecordedSearch) -> bool:
    return len([value for value in scale_of_search(search).behind if value is not None]) > 1


def _section(title: str, sentence: str, figures: Sequence[Any], *, grid: bool = False, width: int = 0) -> str:
    drawn = [_drawn(figure) for figure in figures]
    if grid:
        # A tall one has a row of its own.
        rows = [' class="row"' if figure.layout.height > SMALL else "" for figure in figures]
        body = "".join(f"<div{row}>{item}</div>" for item, row in zip(drawn, rows, strict=True))
        body = f'<div class="grid">{body}</div>'
    else:
        style = f' style="min-width: {width}px"' if width else ""
        body = f'<div class="{"wide " if width else ""}figure"><div{style}>{"".join(drawn)}</div></div>'
    return f"<h2>{title}</h2>\n<p>{sentence}</p>\n{body}"


def _drawn(figure: Any) -> str:
    config = {"responsive": True, "displayModeBar": False}
    height = f"{figure.layout.height}px"
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config=config, default_height=height))
