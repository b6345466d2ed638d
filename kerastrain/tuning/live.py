"""What a search tells while it runs: on a terminal a table that moves, in a log file lines of trials and epochs."""

import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kerastrain._core.terminal import duration, sparkline
from kerastrain.tuning.planning import Plan
from kerastrain.tuning.records import COMPLETED, TrialRecord, best
from kerastrain.tuning.table import brief, short_names, shown, trial_line

_BARS = 16  # Of a sparkline.
_AROUND = 9  # Lines of the view that are no trial.
_SILENCE = 60.0  # Seconds without a line, after which a log file is told of an epoch.
_MARKS = {"pruned": "yellow", "diverged": "red", "failed": "red"}


class LiveSearch:
    """Shows the trials that ended last, those that run, the best so far, and how long it will take.

    On a terminal it is gone when the search is over, and the table of all trials takes its place. An error leaves it.

    Args:
        plan: of the search.
        console: where to show it.
        earlier: trials that ended in earlier processes.
        deadline: `time.monotonic()` after which no trial starts; None for none.
        workers: trials at a time.
    """

    def __init__(
        self,
        plan: Plan,
        console: Console,
        earlier: Sequence[TrialRecord] = (),
        deadline: float | None = None,
        workers: int = 1,
    ) -> None:
        self.plan, self.console, self.deadline, self.workers = plan, console, deadline, workers
        self.records = list(earlier)
        self._curves: dict[int, dict[int, float]] = {}  # Of running trials: epoch -> value.
        self._epochs: dict[int, int] = {}
        self._told = time.monotonic()
        # What is the same in every trial is not worth the room.
        self._names = {
            path: name
            for path, name in short_names(plan.space.parameters).items()
            if len({json.dumps(chosen.get(path)) for chosen in plan.trials}) > 1
        }
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self.view, console=self.console, refresh_per_second=4, transient=True, screen=False
            )
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if self._live is not None:
            self._live.transient = kind is None
            self._live.stop()
            self._live = None

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Write nothing to the terminal within the block."""
        live = self._live
        if live is not None:
            live.stop()
        try:
            yield
        finally:
            if live is not None:
                live.start()

    def on_epoch(self, number: int, row: dict[str, Any]) -> None:
        """Take notice of an epoch of a trial that runs; in a log file, tell it if nothing was told for a minute."""
        value = row.get(self.plan.config.objective.metric)
        curve = self._curves.setdefault(number, {})
        if row["epoch"] == 0:
            curve.clear()  # Of a trial that is repeated, its next training.
        curve[int(row["epoch"])] = float("nan") if value is None else float(value)
        if self._live is None and time.monotonic() - self._told >= _SILENCE:
            measured = "" if value is None else f"  {self.plan.config.objective.metric} {shown(float(value))}"
            head = f"Trial {number}/{len(self.plan.trials)}"
            self._tell(f"{head}  after epoch {int(row['epoch']) + 1} of {self._epochs_of(number)}{measured}")

    def ended(self, record: TrialRecord) -> None:
        """Take notice of the end of a trial; in a log file, tell it."""
        self.records.append(record)
        self._curves.pop(record.number, None)
        if self._live is None:
            self._tell(trial_line(record, self.plan))

    def view(self) -> Group:
        """What a terminal shows now."""
        best_trial = best(self.records, self.plan.config.objective)
        table = Table(box=box.SIMPLE, expand=True, pad_edge=False)
        for name in ("trial", self.plan.config.objective.metric, "epoch"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("curve", no_wrap=True, min_width=_BARS)
        table.add_column("s", justify="right", no_wrap=True)
        table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=1)
        running, foot = self._running(), self._foot(best_trial)
        folded = sum(len(line) // self.console.width for line in foot)
        room = max(3, self.console.height - _AROUND - len(running) - folded)
        for record in self.records[-room:]:
            self._add(table, record, best=best_trial is not None and record.number == best_trial.number)
        for number in running:
            self._add_running(table, number)
        return Group(table, *foot)

    def _tell(self, line: str) -> None:
        self.console.print(line)
        self._told = time.monotonic()

    def _running(self) -> list[int]:
        # Trials are handed out in order, and told of only when they have an epoch.
        ended = {record.number for record in self.records}
        waiting = (n for n in range(1, len(self.plan.trials) + 1) if n not in ended and n not in self._curves)
        return sorted([*self._curves, *itertools.islice(waiting, max(0, self.workers - len(self._curves)))])

    def _add(self, table: Table, record: TrialRecord, *, best: bool) -> None:
        metric = self.plan.config.objective.metric
        values = [float("nan") if row.get(metric) is None else float(row[metric]) for row in record.history]
        value = record.status if record.value is None else shown(record.value)
        style = "bold green" if best else _MARKS.get(record.status, "")
        epoch = "" if record.epoch is None else f"{record.epoch + 1}/{len(record.history)}"
        cells = [str(record.number), value, epoch, sparkline(values[-_BARS:]), f"{record.seconds:.1f}"]
        table.add_row(*map(Text, cells), Text(self._parameters(record.parameters)), style=style)

    def _add_running(self, table: Table, number: int) -> None:
        curve = [value for _, value in sorted(self._curves.get(number, {}).items())]
        epoch = f"{max(self._curves.get(number, {-1: 0.0})) + 1}/{self._epochs_of(number)}"
        cells = [f"> {number}", shown(curve[-1]) if curve else "", epoch, sparkline(curve[-_BARS:]), ""]
        table.add_row(*map(Text, cells), Text(self._parameters(self.plan.trials[number - 1])), style="bold")

    def _epochs_of(self, number: int) -> int:
        if number not in self._epochs:
            self._epochs[number] = self.plan.recipes.fill(self.plan.trials[number - 1]).training.epochs
        return self._epochs[number]

    def _foot(self, best_trial: TrialRecord | None) -> list[Text]:
        lines = []
        if best_trial is not None and best_trial.value is not None:
            head = f"Best: trial {best_trial.number}, {self.plan.config.objective.metric} {shown(best_trial.value)}  "
            lines.append(Text(head + self._parameters(best_trial.parameters), style="green"))
        total, done = len(self.plan.trials), len(self.records)
        parts = [f"{done} of {total} trials"]
        for status in dict.fromkeys(record.status for record in self.records):
            if status != COMPLETED:
                parts.append(f"{sum(record.status == status for record in self.records)} {status}")
        left = remaining([record.seconds for record in self.records], (total - done) / self.workers)
        if left is not None and done < total:
            parts.append(f"about {duration(left)} left")
        epochs = getattr(self.plan.config.budget, "total_epochs", None)
        if epochs is not None:
            spent = sum(len(record.history) for record in self.records) + sum(map(len, self._curves.values()))
            parts.append(f"{spent} of {epochs} epochs")
        if self.deadline is not None:
            parts.append(f"{duration(max(0.0, self.deadline - time.monotonic()))} of the wall clock left")
        return [*lines, Text("  ".join(parts))]

    def _parameters(self, chosen: dict[str, Any]) -> str:
        return " ".join(f"{self._names[path]}={brief(value)}" for path, value in chosen.items() if path in self._names)


def remaining(seconds: Sequence[float], trials: float) -> float | None:
    """How long `trials` more will take, by the median of those that ended; None where none has.

    Example:

    >>> remaining([2.0, 3.0, 40.0], 10)
    30.0
    """
    return statistics.median(seconds) * trials if seconds else None
