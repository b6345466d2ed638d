"""One error line for a file that does not hold what it should."""

import os
import pathlib

from kerastrain._core.errors import InputError


def bad_data(file: object, field: str, expected: str, received: str, remedy: str = "") -> InputError:
    """The error `FILE: `FIELD`: expected ... Received: ... REMEDY`, on one line; `field` may be empty."""
    place = f"{file}: `{field}`" if field else f"{file}"
    text = f"{place}: expected {expected}. Received: {received.rstrip('.')}. {remedy}"
    return InputError(" ".join(text.split()))


def reason(error: Exception) -> str:
    """Why a library gave a file up, short enough for one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = " ".join(text.split()) or type(error).__name__
    return words if len(words) <= 120 else words[:117] + "..."


def existing(path: str | os.PathLike[str], origin: str = "path") -> pathlib.Path:
    """`path` with `~` expanded. Raises InputError unless it is a file or a folder; `origin` says who named it."""
    try:
        text = os.path.expanduser(os.fspath(path))
    except TypeError:
        raise bad_data(origin, "", "the path of a file or folder", repr(path)) from None
    # os.path, because pathlib's tests raise on names that are too long or hold a null byte.
    if not os.path.isfile(text) and not os.path.isdir(text):
        received = "something that is neither" if os.path.exists(text) else "a path where there is nothing"
        raise bad_data(repr(text).strip("'"), origin, "a file or a folder", received, "Check the spelling.")
    return pathlib.Path(text)
