"""SIGINT and SIGTERM during training: stop at the next step boundary; a second signal stops at once."""

import contextlib
import signal
import threading
import types
from collections.abc import Iterator
from typing import Any

import keras

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


class StopWhenInterrupted(keras.callbacks.Callback):
    """Ends `fit` or `evaluate` at the next batch boundary once a signal has come."""

    def __init__(self, interruption: Interruption) -> None:
        super().__init__()
        self.interruption = interruption

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.interruption.name is not None:
            self.model.stop_training = True

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.interruption.name is not None:
            self.model.stop_evaluating = True
