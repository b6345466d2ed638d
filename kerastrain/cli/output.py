"""What a command prints: lines for people on stderr, and one line of JSON on stdout."""

import json
import sys
from typing import Any

import typer


def console_of_stderr() -> Any:
    """A rich console there."""
    from rich.console import Console

    return Console(stderr=True)


def say(console: Any, *lines: str) -> None:
    """Print lines as they are."""
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def finish(result: dict[str, Any], stopped: str | None = None) -> None:
    """Print the JSON line; a run that a signal ended exits with the signal's code."""
    typer.echo(json.dumps(result, allow_nan=False))
    if stopped is not None:
        from kerastrain.experiments.interruption import EXIT_CODES

        # Not typer.Exit: with 130 it would look like the one that typer makes of a KeyboardInterrupt.
        sys.exit(EXIT_CODES[stopped])
