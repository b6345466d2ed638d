"""One process a folder."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from kerastrain._core.errors import RefusedError

LOCK = ".lock"


class UnusableFolderError(RefusedError):
    """The folder cannot be written to."""


@contextlib.contextmanager
def locked(folder: pathlib.Path, *, argument: str, remedy: str) -> Iterator[None]:
    """Hold a folder for this process, made if need be; the lock file is gone afterwards.

    The kernel lets go of it when the process ends, however it ends, so nothing stale is left behind.

    Args:
        folder: the folder.
        argument: what the user called it, for the message.
        remedy: what to do when another process holds it.

    Raises:
        RefusedError: another process holds the folder. UnusableFolderError: it cannot be written to.
    """
    in_use = RefusedError(f"{folder}: in use by another process. {remedy}")
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UnusableFolderError(f"`{argument}`: {folder} cannot be used ({error.strerror}).") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise in_use from None
        # The file may have been removed between opening and locking it, by the process that had it before.
        if not _is_still(path, handle):
            raise in_use
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _is_still(path: pathlib.Path, handle: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False
