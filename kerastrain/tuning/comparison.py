"""Several searches beside each other."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from kerastrain import plots
from kerastrain._core import atomic_files
from kerastrain._core.errors import InputError
from kerastrain._core.terminal import duration
from kerastrain.tuning.recorded_search import RecordedSearch, read_search
from kerastrain.tuning.table import shown

# Of a recipe's data, what decides which images a value is of.
_DATA = ("name", "validation", "train_limit")
# The largest value so many times the smallest: drawn on a logarithmic axis.
_LOG_FROM = 30


def compare(searches: Sequence[str | pathlib.Path], out: str | pathlib.Path = "comparison.png") -> dict[str, Any]:
    """Put searches beside each other: what each found, in how many trials and how long, and how fast.

    Args:
        searches: folders of searches, finished or not.
        out: where the figure goes: the best value so far over the trials, a line a search.

    Returns:
        `searches`: a row each (search, name, status, strategy, metric, mode, trials, ended early, best, spread over
        repeats, trial of the best, seconds, test); `warnings`: in what they are not alike, so that their values say
        less; `figure`: its path, None where no search has a value.

    Raises:
        InputError: no search, one that cannot be read, or a figure that cannot be written.

    Example (not run here; it needs searches):

        kerastrain.tuning.compare(["searches/random_mlp-1a2b3c4d", "searches/grid_mlp-5e6f7a8b"])
    """
    if isinstance(searches, str | pathlib.Path) or not searches:
        raise InputError(f"`searches` must be one folder of a search at least. Received: {searches!r}.")
    read = [read_search(path) for path in searches]
    names = _names(read)
    rows = [_row(name, search) for name, search in zip(names, read, strict=True)]
    figure = _figure(dict(zip(names, read, strict=True)), pathlib.Path(out))
    return {"searches": rows, "warnings": _warnings(names, read), "figure": None if figure is None else str(figure)}


def comparison_table(result: Mapping[str, Any]) -> Table:
    """What `compare` returned, for a person."""
    table = Table(title="Searches", box=box.SIMPLE)
    table.add_column("search", overflow="fold")
    for name in ("objective", "best", "trial", "trials", "ended early", "time", "test"):
        table.add_column(
            name, justify="right" if name != "objective" else "left", no_wrap=name in ("objective", "best")
        )
    for row in result["searches"]:
        best = "" if row["best"] is None else shown(row["best"])
        best += "" if row["spread"] is None else f" ± {row['spread']:.2g}"
        test = row["test"] or {}
        cells = [
            row["name"] + ("" if row["status"] == "finished" else f" ({row['status']})"),
            f"{row['metric']} ({row['mode']})",
            best,
            "" if row["trial"] is None else str(row["trial"]),
            f"{row['trials']} of {row['planned']}",
            str(row["ended_early"]),
            duration(row["seconds"]),
            "  ".join(f"{name} {value:.4f}" for name, value in test.items() if value is not None),
        ]
        table.add_row(*map(Text, cells))
    return table


def _row(name: str, search: RecordedSearch) -> dict[str, Any]:
    best = search.best
    return {
        "search": str(search.folder),
        "name": name,
        "status": search.summary["status"],
        "strategy": search.identity["search"]["strategy"],
        "metric": search.objective.metric,
        "mode": search.objective.mode,
        "trials": len(search.trials),
        "planned": search.identity["trials"],
        "ended_early": sum(trial.status != "completed" for trial in search.trials),
        "best": None if best is None else best.value,
        "spread": None if best is None else search.spread(best),
        "trial": None if best is None else best.number,
        "seconds": search.summary["seconds"],
        "test": search.test,
    }


def _names(read: Sequence[RecordedSearch]) -> list[str]:
    """The searches' own names, or their folders where two have the same."""
    names = [search.name for search in read]
    folders = [str(search.folder) for search in read]
    if len(set(folders)) < len(folders):
        twice = next(folder for folder in folders if folders.count(folder) > 1)
        raise InputError(f"`searches`: expected different folders. Received: {twice} twice.")
    return [folder if names.count(name) > 1 else name for name, folder in zip(names, folders, strict=True)]


def _warnings(names: Sequence[str], read: Sequence[RecordedSearch]) -> list[str]:
    found = []
    objectives = [f"{search.objective.metric} ({search.objective.mode})" for search in read]
    repeats = [search.identity.get("repeats") or 1 for search in read]
    for what, values in (("the objectives", objectives), ("`repeats`", repeats)):
        if len({str(value) for value in values}) > 1:
            found.append(f"{what} differ: " + _told(names, values))
    for key in _DATA:
        values = [_searched(search, f"data.{key}") for search in read]
        if len({str(value) for value in values}) > 1:
            found.append(f"`data.{key}` differs: " + _told(names, values))
    # What was read under that name, where a search has recorded it.
    fingerprints = [search.summary.get("data") for search in read]
    if len({str(value) for value in fingerprints if value is not None}) > 1:
        found.append(f"the images or labels differ (fingerprints): {_told(names, fingerprints)}")
    return found


def _searched(search: RecordedSearch, path: str) -> Any:
    """The recipe's value of `data.KEY`, or that it is one of those that are searched."""
    if path in search.space:
        points = search.space[path].points()
        return points[0] if points is not None and len(points) == 1 else "searched"
    return search.recipe.get("data", {}).get(path.removeprefix("data."))


def _told(names: Sequence[str], values: Sequence[Any]) -> str:
    return ", ".join(f"{name} {'null' if value is None else value}" for name, value in zip(names, values, strict=True))


def _figure(searches: Mapping[str, RecordedSearch], out: pathlib.Path) -> pathlib.Path | None:
    panels: dict[str, dict[str, list[float | None]]] = {}
    for name, search in searches.items():
        if search.best is not None:
            panels.setdefault(f"best {search.objective.metric}", {})[name] = search.best_so_far
    panels = {title: lines for title, lines in panels.items() if any(map(_has_value, lines.values()))}
    if not panels:
        return None
    log = [title for title, lines in panels.items() if _is_wide([v for line in lines.values() for v in line if v])]
    figure = plots.best_values(panels, log=log)
    try:
        with atomic_files.replacing(out) as path:
            figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise InputError(f"`--out`: {out} cannot be written as a picture ({error}).") from None
    return out


def _has_value(line: Sequence[float | None]) -> bool:
    return any(value is not None for value in line)


def _is_wide(values: Sequence[float]) -> bool:
    return bool(values) and min(values) > 0 and max(values) > _LOG_FROM * min(values)
