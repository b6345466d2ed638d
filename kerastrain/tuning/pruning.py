"""A pruner within a trial: asked after each epoch, it ends the trial."""

from collections.abc import Iterable, Sequence
from typing import Any

from kerastrain.callbacks import StatefulCallback
from kerastrain.experiments.fit import EpochRecorder
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.pruners import Curve, Pruner
from kerastrain.tuning.records import COMPLETED, TrialRecord


class PruneTrial(StatefulCallback):
    """Ends `fit` when the pruner says so.

    The last epoch is not judged: nothing is saved by it, and the trial has its value. Nor is one at which the training
    ends by itself, by early stopping or a signal.

    Args:
        pruner: the rule.
        objective: what it looks at.
        epochs: has the rows of this trial; it stands before this callback in `fit`.
        earlier: the trials before this one.

    State: `reason`, why the trial was ended, or None.
    """

    state_names = ("reason",)

    def __init__(self, pruner: Pruner, objective: Objective, epochs: EpochRecorder, earlier: Sequence[Curve]) -> None:
        super().__init__()
        self.pruner, self.objective, self.epochs, self.earlier = pruner, objective, epochs, earlier
        self.reason: str | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.model.stop_training or epoch + 1 >= self.params["epochs"]:
            return
        values = Curve.of(self.epochs.rows, self.objective.metric, completed=False).values
        self.reason = self.pruner.reason(values, self.earlier, self.objective)
        if self.reason is not None:
            self.model.stop_training = True


def first_repeat(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a trial's first training."""
    return [row for row in rows if row.get("repeat", 1) == 1]


def curves(records: Iterable[TrialRecord], objective: Objective) -> list[Curve]:
    """What a pruner is told of earlier trials: of each its first repeat, which has the seed of all first repeats."""
    return [
        Curve.of(first_repeat(record.history), objective.metric, completed=record.status == COMPLETED)
        for record in sorted(records, key=lambda record: record.number)
    ]
