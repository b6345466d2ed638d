"""The report of a search as one HTML page: the answer, then pictures with a sentence each, then the tables."""

import pathlib
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from kerastrain._core import terminal
from kerastrain.tuning.optuna_study import label, varies
from kerastrain.tuning.recorded_search import PRUNED, RecordedSearch, search_yaml
from kerastrain.tuning.records import COMPLETED, DIVERGED, FAILED, TrialRecord
from kerastrain.tuning.report_pictures import pictures
from kerastrain.tuning.report_text import code, text
from kerastrain.tuning.search_folder import BEST_RECIPE
from kerastrain.tuning.table import short_names, shown

_STYLE = pathlib.Path(__file__).with_name("report.css")
_STATUSES = (COMPLETED, PRUNED, DIVERGED, FAILED)
# So many parameters are named in the first lines.
_NAMED = 8


def page(search: RecordedSearch) -> str:
    """The whole page, with plotly.js in it once."""
    from plotly.offline import get_plotlyjs

    sections = [_head(search), _answer(search), *pictures(search), _trials(search), _recipe(search), _run(search)]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(search.name)}: search report</title><style>\n{_STYLE.read_text(encoding='utf-8')}</style>"
        f"<script>{get_plotlyjs()}</script></head>\n<body>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def _head(search: RecordedSearch) -> str:
    identity, summary = search.identity, search.summary
    strategy, recipe = identity["search"]["strategy"], search.recipe
    seed = f", seed {identity['search']['seed']}" if strategy != "grid" else ""
    searched = ", ".join(map(code, search.space)) if len(search.space) <= _NAMED else f"{len(search.space)} parameters"
    ended = {"running": "not finished"}.get(summary["status"], summary["status"])
    why = f" ({text(summary['ended_by'])})" if summary.get("ended_by") else ""
    what = f"the recipe {code(recipe['name'])} on {code(recipe['data']['name'])}" if recipe else "a build function"
    counts = {status: sum(trial.status == status for trial in search.trials) for status in _STATUSES}
    rows = "".join(f'<li class="{status}"><b>{count}</b> {status}</li>' for status, count in counts.items() if count)
    return (
        f'<h1>{text(search.name)}</h1>\n<p class="quiet">{len(search.trials)} of {identity["trials"]} trials of '
        f"{what}, {strategy} search{seed}: {text(ended)}{why} "
        f"after {terminal.duration(summary['seconds'])}. Searched: {searched}.</p>\n"
        f'<ul class="counts">{rows}</ul>'
    )


def _answer(search: RecordedSearch) -> str:
    best, metric = search.best, search.objective.metric
    if best is None or best.value is None or best.epoch is None:
        return f'<div class="answer"><div>No trial has a finite {code(metric)}.</div></div>'
    names = short_names(search.space)
    rows = "".join(
        f'<dt title="{text(path)}">{text(names[path])}</dt><dd>{_value(search, path, value)}</dd>'
        for path, value in best.parameters.items()
    )
    spread = search.spread(best)
    kind = f"{'smallest' if search.objective.mode == 'min' else 'largest'} {'mean ' if spread is not None else ''}"
    place = f"trial {best.number}, best at epoch {best.epoch + 1}"
    if spread is not None:
        each = ", ".join(shown(one["value"]) for one in best.repeats)
        place = f"trial {best.number}, the mean of the best values of its {len(best.repeats)} repeats: {each}"
    place += "" if best.status == COMPLETED else f", {best.status}"
    again = shlex.join(["kerastrain", "train", str(search.folder / BEST_RECIPE)])
    return (
        f'<div class="answer"><div><div class="quiet">{kind}{code(metric)}</div><div class="value">'
        f"{text(shown(best.value))}{'' if spread is None else f'<small> ± {spread:.2g}</small>'}</div>"
        f"<div>{place}</div>"
        f'<p class="quiet">{_test(search)}</p></div><dl>{rows}</dl></div>'
        + (f"\n<p>Train it again: {code(again)}</p>" if search.recipe else "")
    )


def _test(search: RecordedSearch) -> str:
    if search.test is None:
        return "Not evaluated on the test set."
    scores = {name: value for name, value in search.test.items() if value is not None}
    return f"Its test set: {', '.join(f'{text(name)} {value:.4f}' for name, value in scores.items())}."


def _trials(search: RecordedSearch) -> str:
    objective = search.objective
    names = {path: name for path, name in short_names(search.space).items() if varies(search, path)}
    told = any(trial.message for trial in search.trials)
    heads = "".join(
        f'<th class="number">{_broken(name)}</th>' if name != "status" else "<th>status</th>"
        for name in ("trial", objective.metric, "status", "epoch", "s")
    )
    heads += "".join(f'<th title="{text(path)}">{_broken(name)}</th>' for path, name in names.items())
    heads += "<th>why it ended</th>" if told else ""
    order = sorted(
        search.trials,
        key=lambda trial: (trial.status != COMPLETED, objective.sortable(search.reached(trial)), trial.number),
    )
    rows = "".join(_row(search, trial, names, told=told) for trial in order)
    alike = {path: value for trial in search.trials for path, value in trial.parameters.items() if path not in names}
    same = ", ".join(f"{code(path)} {_value(search, path, value)}" for path, value in alike.items())
    return (
        "<h2>Trials</h2>\n<p>The best first; those that were cut off at the end, with the best value that they "
        f"reached.{f' The same in all: {same}.' if same else ''}</p>\n"
        f'<div class="wide trials"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(search: RecordedSearch, trial: TrialRecord, names: Mapping[str, str], *, told: bool) -> str:
    value, spread = search.reached(trial), search.spread(trial)
    reached = "" if value is None else text(shown(value)) + ("" if spread is None else f" ± {spread:.2g}")
    epoch = "" if trial.epoch is None else trial.epoch + 1
    cells = [f'<td class="number">{cell}</td>' for cell in (trial.number, reached)]
    cells.append(f'<td class="{text(trial.status)}">{text(trial.status)}</td>')
    cells += [f'<td class="number">{cell}</td>' for cell in (epoch, f"{trial.seconds:.1f}")]
    chosen = trial.parameters
    cells += [f"<td>{_value(search, path, chosen[path]) if path in chosen else ''}</td>" for path in names]
    cells += [f'<td class="message">{text(trial.message or "")}</td>'] if told else []
    best = search.best is not None and trial.number == search.best.number
    return f"<tr{' class=best' if best else ''}>{''.join(cells)}</tr>"


def _recipe(search: RecordedSearch) -> str:
    if search.best_recipe is None:
        return ""
    read = f"As {code('kerastrain train')} reads it." if search.recipe else "What its model was built of."
    title = f"The best {'recipe' if search.recipe else 'trial'}"
    return f"<h2>{title}</h2>\n<p>{read}</p>\n<pre>{text(search.best_recipe)}</pre>"


def _run(search: RecordedSearch) -> str:
    summary = search.summary
    facts = {
        "seed of the search": search.identity["search"]["seed"],
        "seed of the recipe": search.recipe.get("training", {}).get("seed"),
        "command": summary.get("command"),
        "folder": search.folder,
        "versions": ", ".join(f"{name} {version}" for name, version in (summary.get("versions") or {}).items()),
        "machine": ", ".join(_machine(summary.get("machine") or {})),
    }
    rows = "".join(
        f'<tr><th>{name}</th><td class="message">{text(value)}</td></tr>'
        for name, value in facts.items()
        if value not in (None, "")
    )
    return (
        f"<h2>How it was run</h2>\n<table>{rows}</table>\n"
        f"<h2>The search file</h2>\n<pre>{text(search_yaml(search))}</pre>"
    )


def _machine(machine: Mapping[str, Any]) -> Iterable[str]:
    for key, value in machine.items():
        told = " ".join(map(str, value)) if isinstance(value, list) else value
        if told not in (None, ""):
            yield str(told) if key in ("processor", "system", "flags") else f"{key.replace('_', ' ')} {told}"


def _broken(name: str) -> str:
    """A long name may go on in the next line behind `_` and `.`."""
    return text(name).replace("_", "_<wbr>").replace(".", ".<wbr>")


def _value(search: RecordedSearch, path: str, value: Any) -> str:
    named = label(search.space[path], value)
    return text(named if isinstance(named, str) else shown(named))
