"""`kerastrain report`, `compare`, `ensemble`: what became of searches."""

import json
import pathlib
from typing import Annotated, Any

import typer

Search = Annotated[pathlib.Path, typer.Argument(metavar="SEARCH", help="The folder of a search.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show what the libraries write at start-up.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(report)


def report(
    search: Search,
    out: Annotated[pathlib.Path | None, typer.Option(help="The file; report.html in the search by default.")] = None,
    verbose: Verbose = False,
) -> None:
    """Write a search's report.html, also of one that is still running."""
    path = _tuning(verbose).report(search, out)
    _say(f"Report: {path}")
    typer.echo(json.dumps({"search": str(search), "report": str(path)}))


def _tuning(verbose: bool) -> Any:
    from kerastrain.cli.quiet import start_keras

    start_keras(verbose)
    from kerastrain import tuning

    return tuning


def _say(line: Any) -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(line)
