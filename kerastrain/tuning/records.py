"""What a search remembers of its trials, and how that is written down."""

import csv
import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from kerastrain.tuning.objective import Objective

COMPLETED, PRUNED, DIVERGED, FAILED = "completed", "pruned", "diverged", "failed"


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """One finished trial.

    number: from 1, in the order of the search.
    parameters: dotted path -> value, those that were active.
    status: `completed`; `pruned`, ended early; `diverged`, its loss or every value of its objective was not finite;
        `failed`, see `message`.
    value: the objective at its best epoch, where trials are repeated the mean; None unless completed or pruned.
    epoch: that epoch, of the best repeat, from 0 as in `history`.
    seconds: of building and training.
    history: one row an epoch, as `experiments.Training` has them; with `repeat`, from 1, where trials are repeated.
    message: why it has no value, or was pruned.
    spread: the standard deviation (n - 1) of the repeats' values; None for one training.
    best_repeat: the repeat of the best value.
    repeats: of each one `repeat`, `seed`, `status`, `value`, `epoch`, `seconds`, `message`; empty for one training.
    """

    number: int
    parameters: dict[str, Any]
    status: str
    value: float | None
    epoch: int | None
    seconds: float
    history: list[dict[str, Any]]
    message: str | None = None
    spread: float | None = None
    best_repeat: int = 1
    repeats: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Plain data without the history."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "history"}


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What `search` returns.

    folder: where it is all written.
    status: `finished` or `interrupted`; of an earlier process also `running` (it was killed) or `failed`.
    ended_by: `max_trials`, `exhausted` (every point of the space was tried), `wall_clock`, `total_epochs`, `SIGINT` or
        `SIGTERM`.
    objective: metric and mode.
    trials: in the order they ran.
    seconds: wall time of the whole search.
    test: loss and metrics of the best trial's model on the test set; None while the search is not finished.
    """

    folder: pathlib.Path
    status: str
    ended_by: str
    objective: Objective
    trials: list[TrialRecord]
    seconds: float
    test: dict[str, float | None] | None = None

    @property
    def stopped(self) -> str | None:
        """The signal that ended it early, or None."""
        return self.ended_by if self.status == "interrupted" else None

    @property
    def best(self) -> TrialRecord | None:
        """The completed trial of the best value, the first of equals; where none was completed, of the pruned ones."""
        return best(self.trials, self.objective)

    @property
    def best_recipe_path(self) -> pathlib.Path | None:
        """The recipe of the best trial, for `kerastrain train`; None where there is none."""
        path = self.folder / "best_recipe.yaml"
        return path if self.best is not None and path.exists() else None

    @property
    def best_model_path(self) -> pathlib.Path | None:
        """The model of the best trial at its best epoch, where it is kept."""
        path = self.folder / "best_model.keras"
        return path if path.exists() else None

    def summary(self) -> dict[str, Any]:
        """The search in one JSON object, as the command line prints it."""
        found = self.best
        return {
            "search": str(self.folder),
            "status": self.status,
            "ended_by": self.ended_by,
            "objective": self.objective.model_dump(),
            "trials": len(self.trials),
            "best": None if found is None else {key: found.summary()[key] for key in _BEST},
            "best_recipe": None if self.best_recipe_path is None else str(self.best_recipe_path),
            "best_model": None if self.best_model_path is None else str(self.best_model_path),
            "test": self.test,
            "seconds": self.seconds,
        }


_BEST = ("number", "status", "value", "spread", "epoch", "parameters")


def best(records: Iterable[TrialRecord], objective: Objective) -> TrialRecord | None:
    """The completed record of the best value, the lowest number of equals; None where there is none.

    A pruned trial never wins over a completed one, whatever its value: it is not known what it would have come to. Only
    where no trial was completed is the best of the pruned ones taken.
    """
    valued = [record for record in records if record.status in (COMPLETED, PRUNED)]
    return min(
        valued,
        key=lambda record: (record.status != COMPLETED, objective.sortable(record.value), record.number),
        default=None,
    )


def table_csv(records: Sequence[TrialRecord], paths: Iterable[str]) -> str:
    """One row a trial: number, status, value, spread, epoch, seconds, each parameter; an inactive one is left empty."""
    columns = list(paths)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["number", "status", "value", "spread", "epoch", "seconds", *columns])
    for record in records:
        values = [_cell(record.parameters[path]) if path in record.parameters else "" for path in columns]
        outcome = [record.status, record.value, record.spread, record.epoch, record.seconds]
        writer.writerow([record.number, *outcome, *values])
    return stream.getvalue()


def history_lines(records: Iterable[TrialRecord]) -> str:
    """One JSON object a line for each epoch of each trial; a value that is not finite is null."""
    rows = [{"trial": record.number, **finite(row)} for record in records for row in record.history]
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)


def recorded(summaries: Iterable[dict[str, Any]], history: str) -> list[TrialRecord]:
    """The records that `TrialRecord.summary` and `history_lines` were made of."""
    rows: dict[int, list[dict[str, Any]]] = {}
    for line in history.splitlines():
        row = json.loads(line)
        rows.setdefault(row.pop("trial"), []).append(row)
    return [TrialRecord(**summary, history=rows.get(summary["number"], [])) for summary in summaries]


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def finite(row: dict[str, Any]) -> dict[str, Any]:
    """A row for JSON, which has no NaN: a value that is not finite is null."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
