"""The errors that a command answers with one line and an exit code; anything else is a defect of ours."""

import difflib
from collections.abc import Iterable


class KerastrainError(Exception):
    """A failure whose message is meant for the user as it stands."""

    exit_code = 1


class WorkFailedError(KerastrainError):
    """The work was started and failed: diverged, nothing to evaluate (exit code 1)."""

    exit_code = 1


class InputError(KerastrainError, ValueError):
    """Bad usage, configuration or data, found before any compute (exit code 2)."""

    exit_code = 2


class RefusedError(KerastrainError):
    """Doing it would lose or mix something: a folder in use, a recipe that differs (exit code 3)."""

    exit_code = 3


def closest_name(name: object, known: Iterable[str]) -> str | None:
    """The known name that comes nearest to `name`, or None when none comes near."""
    return next(iter(difflib.get_close_matches(str(name), sorted(known), n=1, cutoff=0.6)), None)


def closest(name: object, known: Iterable[str]) -> str:
    """`" Did you mean `relu`?"`, or the empty string when nothing known comes near `name`."""
    match = closest_name(name, known)
    return f" Did you mean `{match}`?" if match is not None else ""
