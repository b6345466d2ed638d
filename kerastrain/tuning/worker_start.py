"""What a new worker process starts with: its share of the cores, its standard error in a file, no ear for Ctrl-C."""

import contextlib
import os
import pathlib
import signal
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker

from kerastrain._core import machine

LOGS = "worker_logs"
"""The folder, in that of the search, of what workers write to standard output and standard error."""

_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextlib.contextmanager
def starting(count: int, log: pathlib.Path) -> Iterator[None]:
    """Start one of `count` processes within the block; what it writes to standard error goes behind what `log` has.

    All of it is inherited, since a process that is spawned imports TensorFlow, and the user's own main module, before
    any code of ours. Nothing else may write to this process's standard error meanwhile.
    """
    with _environment(count), _deaf(), _standard_error_in(log):
        yield


def listen() -> None:
    """Be told to end by SIGTERM alone: in the process that was started, once it is in a process group of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # What came meanwhile is let go.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextlib.contextmanager
def _environment(count: int) -> Iterator[None]:
    """Its share of the cores, and of an accelerator what it needs."""
    threads = str(max(1, machine.facts()["cores"] // count))
    wanted = {**dict.fromkeys(_THREADS, threads), "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C in a terminal is sent to all processes there; one that is still importing would end in a traceback."""
    resource_tracker.ensure_running()  # Where it is not, starting a process starts it, and unblocks the signal again.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _standard_error_in(log: pathlib.Path) -> Iterator[None]:
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
