"""A search's trials for a person to read: one line as each ends, and a table of them all."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from kerastrain.tuning.objective import Objective
from kerastrain.tuning.records import TrialRecord


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Each path's shortest ending that no other path has: `learning_rate` for `optimizer.learning_rate`."""
    names = {}
    parts = {path: path.split(".") for path in paths}
    for path, own in parts.items():
        endings = (own[-count:] for count in range(1, len(own) + 1))
        alone = (end for end in endings if sum(other[-len(end) :] == end for other in parts.values()) == 1)
        names[path] = ".".join(next(alone, own))
    return names


def trial_line(record: TrialRecord, total: int, metric: str) -> str:
    """`Trial 3/10  val_loss 1.2345 at epoch 4  learning_rate=0.01 units=32  2.1 s`."""
    if record.value is None:
        outcome = f"{record.status}: {record.message}"
    else:
        outcome = f"{metric} {_shown(record.value)} at epoch {record.epoch}"
    names = short_names(record.parameters)
    parameters = " ".join(f"{names[path]}={_shown(value)}" for path, value in record.parameters.items())
    return f"Trial {record.number}/{total}  {outcome}  {parameters}  {record.seconds:.1f} s"


def trials_table(records: Iterable[TrialRecord], paths: Sequence[str], objective: Objective) -> Table:
    """The trials, the best first, those without a value last."""
    table = Table(title=f"Trials by {objective.metric} ({objective.mode})", box=box.SIMPLE)
    for name in ("trial", objective.metric, "epoch", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in short_names(paths).values():
        table.add_column(Text(name), overflow="fold")
    for record in sorted(records, key=lambda record: (objective.sortable(record.value), record.number)):
        value = record.status if record.value is None else _shown(record.value)
        epoch = "" if record.epoch is None else str(record.epoch)
        cells = [_shown(record.parameters[path]) if path in record.parameters else "" for path in paths]
        table.add_row(str(record.number), value, epoch, f"{record.seconds:.1f}", *(Text(cell) for cell in cells))
    return table


def _shown(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
