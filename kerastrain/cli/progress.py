"""Live progress on stderr: a bar on a terminal, one line an epoch elsewhere."""

import math
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kerastrain._core.terminal import duration, sparkline
from kerastrain.callbacks import StatefulCallback

_SHOWN = ("loss", "accuracy", "val_loss", "val_accuracy")
_EPOCHS_SHOWN = 16


class FitProgress(StatefulCallback):
    """Shows epochs and steps as they pass, and on a terminal how the validation loss went in the last epochs.

    Args:
        console: where to show it; stderr, so that stdout stays one line of JSON.
    """

    state_names = ("losses", "done")

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self.progress: Progress | None = None
        self.losses: list[float] = []
        self.done = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._started = time.perf_counter()
        self._first: int | None = None
        self.losses = []
        self.done = 0
        if not self.console.is_terminal:
            return
        self.progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=self.console,
            transient=True,
        )
        self.progress.start()
        steps = self.params.get("steps") or 0
        self.task = self.progress.add_task("training", total=steps * self.params["epochs"], values="")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        self._partial = False
        self._before = self.done  # Keras counts from 0 again in an epoch that an earlier process has begun.
        self._first = epoch if self._first is None else self._first
        self._epoch_started = time.perf_counter()
        if self.progress is not None:
            self.progress.update(self.task, description=f"epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.done = self._before + batch + 1
        if self.progress is not None:
            done = self._epoch * (self.params.get("steps") or 0) + self.done
            self.progress.update(
                self.task, completed=done, values=f"{_values(logs or {})}  {sparkline(self.losses[-_EPOCHS_SHOWN:])}"
            )

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Nothing but a signal stops within an epoch.
        self._partial = self.model.stop_training

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._partial:
            return
        self.done = 0
        self.losses.append(float((logs or {}).get("val_loss", (logs or {}).get("loss", math.nan))))
        seconds = time.perf_counter() - self._epoch_started
        here = epoch + 1 - (self._first or 0)  # Those before were an earlier process's.
        left = (time.perf_counter() - self._started) / here * (self.params["epochs"] - epoch - 1)
        self.console.print(
            f"epoch {epoch + 1:>3}/{self.params['epochs']}  {_values(logs or {})}  {seconds:.1f} s"
            + (f"  about {duration(left)} left" if left >= 1 else ""),
            highlight=False,
            soft_wrap=True,
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was, also when training ended by an exception."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None


def _values(logs: dict[str, Any]) -> str:
    return "  ".join(f"{name} {float(logs[name]):.4f}" for name in _SHOWN if name in logs)
