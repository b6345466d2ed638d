"""The trainings of one point of the space, each from a seed of its own, and what they come to together."""

import dataclasses
import json
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from kerastrain._core import atomic_files
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.records import COMPLETED, TrialRecord, finite


@dataclasses.dataclass(frozen=True)
class Repeat:
    """One finished training of a trial.

    repeat: from 1.
    seed: that it was trained from, where it is known.
    status, value, epoch, seconds, history, message: as `TrialRecord` has them.
    """

    repeat: int
    seed: int | None
    status: str
    value: float | None
    epoch: int | None
    seconds: float
    history: list[dict[str, Any]]
    message: str | None = None

    def write(self, folder: pathlib.Path) -> None:
        """Keep it in `folder`, so that a trial that is cut off goes on behind it."""
        plain = {**dataclasses.asdict(self), "history": [finite(row) for row in self.history]}
        atomic_files.write_json(_file(folder, self.repeat), plain)


def read(folder: pathlib.Path, repeat: int) -> Repeat | None:
    """What `Repeat.write` has kept; None where there is nothing whole, and it is trained again."""
    try:
        return Repeat(**json.loads(_file(folder, repeat).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def combined(
    number: int, parameters: dict[str, Any], repeats: Sequence[Repeat], wanted: int, objective: Objective
) -> TrialRecord:
    """The record of a point: its value is the mean of its repeats', its spread their standard deviation (n - 1).

    A repeat that was not completed ends the point, and its status is the point's: there is no mean over seeds some of
    which diverge.

    Args:
        number: of the trial.
        parameters: its values.
        repeats: that were trained.
        wanted: how many there were to be.
        objective: which way is better.
    """
    last = repeats[-1]
    if wanted == 1:
        return TrialRecord(
            number, parameters, last.status, last.value, last.epoch, last.seconds, last.history, last.message
        )
    best = min(repeats, key=lambda one: (objective.sortable(one.value), one.repeat))
    values = [one.value for one in repeats if one.value is not None]
    whole = last.status == COMPLETED
    parts = [
        {field.name: getattr(one, field.name) for field in dataclasses.fields(one) if field.name != "history"}
        for one in repeats
    ]
    return TrialRecord(
        number,
        parameters,
        last.status,
        statistics.fmean(values) if whole else last.value,
        best.epoch if whole else last.epoch,
        round(sum(one.seconds for one in repeats), 3),
        [{"repeat": one.repeat, **row} for one in repeats for row in one.history],
        None if last.message is None else f"repeat {last.repeat} of {wanted} {last.message}",
        spread=statistics.stdev(values) if whole else None,
        best_repeat=best.repeat,
        repeats=parts,
    )


def _file(folder: pathlib.Path, repeat: int) -> pathlib.Path:
    return folder / f"repeat_{repeat}.json"
