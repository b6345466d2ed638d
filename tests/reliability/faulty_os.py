"""A layer in place of `os` that counts the file operations of a checkpoint, writes down their order, and lets one of
them fail or end the process."""

import contextlib
import os
import signal

from kerastrain._core import checkpoint_files, checkpoint_store

COUNTED = ("makedirs", "mkdir", "open", "write", "fsync", "close", "rename", "unlink", "rmdir", "listdir")


class FaultyOs:
    """What a module knows as `os`.

    Args:
        operation: the number, from 1 on, of the operation at which something happens; None for never.
        mode: `"kill"` sends SIGKILL before it, `"half"` does the same, in a write after half of it is written; a number
            is the `errno` that it fails with.
        count: how many operations fail, that one included.

    Attributes: `events`, one `(name, subject)` for each operation, file handles under the path they were opened for;
    `starts`, the number of the first operation of each save.
    """

    def __init__(self, operation=None, mode="kill", count=1):
        self.operation, self.mode, self.count = operation, mode, count
        self.events, self.starts = [], []
        self._paths = {}

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in COUNTED:
            return real

        def counted(*args, **options):
            subject = self._paths.get(args[0], args[0]) if isinstance(args[0], int) else args[0]
            self.events.append(
                (name, *(str(item) for item in ((subject, args[1]) if name == "rename" else (subject,))))
            )
            number = len(self.events)
            if name == "makedirs":
                self.starts.append(number)
            if self.operation is not None and self.operation <= number < self.operation + self.count:
                self._happen(name, args)
            result = real(*args, **options)
            if name == "open":
                self._paths[result] = args[0]
            elif name == "close":
                self._paths.pop(args[0], None)
            return result

        return counted

    def _happen(self, name, args):
        if isinstance(self.mode, int):
            raise OSError(self.mode, os.strerror(self.mode))
        if self.mode == "half" and name == "write":
            os.write(args[0], bytes(args[1])[: len(args[1]) // 2])
        os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def in_place(shim):
    """Let the modules that write checkpoints work on `shim`."""
    modules = (checkpoint_files, checkpoint_store)
    for module in modules:
        module.os = shim
    try:
        yield shim
    finally:
        for module in modules:
            module.os = os
