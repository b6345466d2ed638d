"""How far an evaluation is, in a line now and then."""

import time
from collections.abc import Callable
from typing import Any

import keras

from kerastrain._core.terminal import duration

# Seconds between two lines: a short evaluation says nothing.
EVERY = 10.0


class EvaluationProgress(keras.callbacks.Callback):
    """Tells how much of a set has been evaluated, at most every ten seconds.

    Args:
        announce: is given the lines.
        what: is evaluated, as the lines name it.
    """

    def __init__(self, announce: Callable[[str], None], what: str) -> None:
        super().__init__()
        self._announce, self._what = announce, what

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._begin = self._told = time.perf_counter()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now, steps = time.perf_counter(), self.params.get("steps")
        if steps and batch + 1 < steps and now - self._told >= EVERY:
            self._told = now
            left = (now - self._begin) / (batch + 1) * (steps - batch - 1)
            self._announce(f"{self._what}: {(batch + 1) / steps:.0%}, about {duration(left)} left")
