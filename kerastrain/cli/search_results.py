"""`kerastrain report`, `compare`, `ensemble`: what became of searches."""

import json
import pathlib
import sys
from typing import Annotated, Any

import typer

Search = Annotated[pathlib.Path, typer.Argument(metavar="SEARCH", help="The folder of a search.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show what the libraries write at start-up.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(report)
    app.command()(compare)
    app.command()(ensemble)


def report(
    search: Search,
    out: Annotated[pathlib.Path | None, typer.Option(help="The file; report.html in the search by default.")] = None,
    verbose: Verbose = False,
) -> None:
    """Write a search's report.html, whatever state it is in."""
    path = _tuning(verbose).report(search, out)
    _say(f"Report: {path}")
    typer.echo(json.dumps({"search": str(search), "report": str(path)}))


def compare(
    searches: Annotated[list[pathlib.Path], typer.Argument(metavar="SEARCH...", help="Folders of searches.")],
    out: Annotated[pathlib.Path, typer.Option(help="The figure.")] = pathlib.Path("comparison.png"),
    verbose: Verbose = False,
) -> None:
    """Put searches beside each other: a table and a figure."""
    tuning = _tuning(verbose)
    result = tuning.compare(searches, out)
    from kerastrain.tuning.comparison import comparison_table

    _say(comparison_table(result))
    for warning in result["warnings"]:
        _say(f"Not alike: {warning}")
    _say(f"Figure: {result['figure']}" if result["figure"] else "No figure: no search has a value.")
    typer.echo(json.dumps(result, allow_nan=False))


def ensemble(
    search: Search,
    top: Annotated[int, typer.Option(help="How many of the best trials.")] = 3,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Train all of them again.")] = False,
    verbose: Verbose = False,
) -> None:
    """Make one voting model of a search's best trials."""
    tuning = _tuning(verbose)
    from rich.console import Console

    from kerastrain.cli import summary
    from kerastrain.cli.progress import FitProgress
    from kerastrain.experiments.interruption import EXIT_CODES

    progress = FitProgress(Console(stderr=True))
    try:
        result = tuning.ensemble(search, top, overwrite=overwrite, callbacks=[progress], announce=_say)
    finally:
        progress.close()
    if result["status"] == "finished":
        for line in summary.ensemble_lines(result):
            _say(line)
    typer.echo(json.dumps(result, allow_nan=False))
    if result["status"] == "interrupted":
        sys.exit(EXIT_CODES[result["stopped"]])


def _tuning(verbose: bool) -> Any:
    from kerastrain.cli.quiet import start_keras

    start_keras(verbose)
    from kerastrain import tuning

    return tuning


def _say(line: Any) -> None:
    from rich.console import Console

    # In a log file there is no width to keep to.
    width = None if sys.stderr.isatty() else 160
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True, width=width).print(line)
