"""A search without training: is its file right, and what would be tried."""

import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kerastrain.tuning.config import SearchConfig, as_config
from kerastrain.tuning.planning import Plan, plan
from kerastrain.tuning.table import plan_lines, short_names, shown


def dry_run(
    config_or_path: SearchConfig | Mapping[str, Any] | str | pathlib.Path,
    *,
    data: str | None = None,
    max_trials: int | None = None,
    smoke: bool = False,
    trials: bool = True,
) -> dict[str, Any]:
    """Check a search file whole, and say what it would do: `kerastrain search --dry-run`, and `--check` without trials.

    Every trial's recipe is made and validated; no data is loaded, nothing is built, and no folder is written.

    Args:
        config_or_path: a search file, a `SearchConfig`, or plain data.
        data: as `search` takes it.
        max_trials: as `search` takes it.
        smoke: as `search` takes it.
        trials: list and show the trials.

    Returns:
        Plain data: `name`, `strategy`, `trials` (their number), `combinations` (of a grid, else None), `exhausted`
        (whether every point of the space is tried), `repeats`, `epochs` (at most, of all trainings), `parameters` (the
        keys of the space), and `plan`, one `{number, epochs, parameters}` a trial.

    Raises:
        InputError: one line a problem: file:line, key, expected, received, closest match.

    Example:

    >>> found = dry_run("tuner_configs/random_mlp.yaml", max_trials=3, trials=False)
    >>> found["strategy"], found["trials"]
    ('random', 3)
    """
    config = as_config(config_or_path)
    made = plan(config, data=data, max_trials=max_trials, smoke=smoke)
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True, width=_width())
    for line in [_line(made), *plan_lines(made)]:
        console.print(line)
    result: dict[str, Any] = {
        "name": made.config.name,
        "strategy": made.config.search.strategy,
        "trials": len(made.trials),
        "combinations": made.combinations,
        "exhausted": made.exhausted,
        "repeats": made.config.repeats,
        "epochs": sum(made.epochs) * made.config.repeats,
        "parameters": list(made.space.parameters),
    }
    if trials:
        rows = zip(made.trials, made.epochs, strict=True)
        result["plan"] = [
            {"number": number, "epochs": count, "parameters": chosen} for number, (chosen, count) in enumerate(rows, 1)
        ]
        console.print(_table(made))
    return result


def _line(made: Plan) -> str:
    config = made.config
    times = f" times {config.repeats} repeats" if config.repeats > 1 else ""
    pruned = f", pruned by {config.pruner['type']}" if config.pruner is not None else ""
    whole = ", every point of the space" if made.exhausted or made.combinations == len(made.trials) else ""
    return (
        f"{config.source.source}: valid. {config.search.strategy}: {len(made.trials)} trials{whole}{times}, at most "
        f"{sum(made.epochs) * config.repeats} epochs{pruned}."
    )


def _table(made: Plan) -> Table:
    table = Table(title=f"Trials of {made.config.name}", box=box.SIMPLE)
    for name in ("trial", "epochs"):
        table.add_column(name, justify="right", no_wrap=True)
    paths = list(made.space.parameters)
    for name in short_names(paths).values():
        table.add_column(Text(name), overflow="fold")
    for number, (chosen, count) in enumerate(zip(made.trials, made.epochs, strict=True), start=1):
        cells = [shown(chosen[path]) if path in chosen else "" for path in paths]
        table.add_row(str(number), str(count), *(Text(cell) for cell in cells))
    return table


def _width() -> int | None:
    # In a log file there is no width to keep to.
    return None if sys.stderr.isatty() else 160
