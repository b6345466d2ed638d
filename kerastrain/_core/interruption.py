"""SIGINT and SIGTERM, noted for whoever can stop at a good moment; a second signal stops at once."""

import contextlib
import signal
import threading
import types
from collections.abc import Iterator

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143}


class Interruption:
    """Which signal has come, if any."""

    def __init__(self) -> None:
        self.name: str | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen within the block. Outside the main thread Python delivers no signals, and nothing is done."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def note(number: int, frame: types.FrameType | None) -> None:
            self.name = signal.Signals(number).name
            for each, handler in before.items():
                signal.signal(each, handler)

        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
