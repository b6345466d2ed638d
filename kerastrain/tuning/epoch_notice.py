"""Tells whoever watches a search of each epoch as it ends."""

from collections.abc import Callable
from typing import Any

from kerastrain.callbacks import StatefulCallback
from kerastrain.experiments.fit import EpochRecorder


class EpochNotice(StatefulCallback):
    """Gives each new row of `epochs`, which stands before it in `fit`, to `on_epoch` with the trial's number."""

    state_names = ()

    def __init__(self, number: int, epochs: EpochRecorder, on_epoch: Callable[[int, dict[str, Any]], None]) -> None:
        super().__init__()
        self.number, self.epochs, self.on_epoch = number, epochs, on_epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # Of an epoch that a signal cut off there is no row.
        if self.epochs.rows and self.epochs.rows[-1]["epoch"] == epoch:
            self.on_epoch(self.number, self.epochs.rows[-1])
