"""SIGINT and SIGTERM during training: stop at the next step boundary; a second signal stops at once."""

from typing import Any

import keras

from kerastrain._core.interruption import EXIT_CODES, Interruption

__all__ = ["EXIT_CODES", "Interruption", "StopWhenInterrupted"]


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
