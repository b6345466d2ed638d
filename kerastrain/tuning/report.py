"""`report.html`: a search explained on one page that opens offline."""

import importlib.util
import pathlib
from collections.abc import Callable

from kerastrain._core import atomic_files
from kerastrain._core.errors import InputError
from kerastrain.tuning.recorded_search import RecordedSearch, read_search

REPORT = "report.html"

_EXTRA = ("optuna", "plotly")


def report(search: str | pathlib.Path | RecordedSearch, out: str | pathlib.Path | None = None) -> pathlib.Path:
    """Write a search's report: the best trial, what mattered, every trial's curve, the recipe, how it was run.

    One HTML file that loads nothing: the pictures are plotly's, with plotly.js in the file; importances and slices are
    Optuna's. `search` writes it at its end; this does it again, or for a search that is still running or was killed.

    Args:
        search: a search folder, or what `read_search` read of one.
        out: the file to write; `report.html` in the search folder when None.

    Returns:
        The file.

    Raises:
        InputError: there is no search, its records cannot be read, it has no trial yet, or `kerastrain[report]` is not
            installed.

    Example (not run here; it needs a search):

        kerastrain.tuning.report("searches/random_mlp-1a2b3c4d")
    """
    missing = missing_packages()
    if missing:
        raise InputError(f"A report needs {' and '.join(missing)}: pip install 'kerastrain[report]'")
    read = search if isinstance(search, RecordedSearch) else read_search(search)
    if not read.trials:
        raise InputError(f"{read.folder}: expected one trial at least. Received: a search of which none has ended yet.")
    path = pathlib.Path(out) if out is not None else read.folder / REPORT
    if path.is_dir():
        raise InputError(f"`--out`: expected a file. Received: the folder {path}.")
    from kerastrain.tuning.report_page import page

    try:
        atomic_files.write_text(path, page(read))
    except OSError as error:
        raise InputError(f"`--out`: {path} cannot be written ({error.strerror}).") from None
    return path


def missing_packages() -> list[str]:
    """What a report needs and is not installed."""
    return [name for name in _EXTRA if importlib.util.find_spec(name) is None]


def report_at_end(folder: pathlib.Path, announce: Callable[[str], None]) -> None:
    """Write the report of a search that has ended; whatever is wrong with it is told, and the search is not harmed."""
    try:
        read = read_search(folder)
        if read.trials:
            announce(f"Report: {report(read)}")
    except InputError as error:
        announce(f"No {REPORT}: {error}")
    except Exception as error:
        # A picture is never worth the hours of a search.
        announce(f"No {REPORT}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
