"""A search for a person to read: what will be run, one line as each trial ends, and a table of them all."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from kerastrain._core import yaml_document
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.planning import Plan
from kerastrain.tuning.records import COMPLETED, PRUNED, TrialRecord

_WORD = re.compile(r"[A-Za-z_/][\w./-]*\Z")


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Each path's shortest ending that no other path has: `learning_rate` for `optimizer.learning_rate`."""
    names = {}
    parts = {path: path.split(".") for path in paths}
    for path, own in parts.items():
        endings = (own[-count:] for count in range(1, len(own) + 1))
        alone = (end for end in endings if sum(other[-len(end) :] == end for other in parts.values()) == 1)
        names[path] = ".".join(next(alone, own))
    return names


def plan_lines(plan: Plan) -> list[str]:
    """What the table alone would not tell: combinations that are left out, and values that smoke replaces."""
    lines = []
    if plan.combinations is not None and len(plan.trials) < plan.combinations:
        lines.append(f"Grid: the first {len(plan.trials)} of {plan.combinations} combinations.")
    replaced: dict[str, list[str]] = {}
    for chosen in plan.trials:
        for path, (searched, trained) in plan.recipes.replaced(chosen).items():
            row, rows = f"{shown(searched)} -> {shown(trained)}", replaced.setdefault(path, [])
            if row not in rows:
                rows.append(row)
    if replaced:
        changes = "; ".join(f"{path} {', '.join(rows)}" for path, rows in replaced.items())
        lines.append(f"--smoke replaces searched values: {changes}. The table and the records keep the searched ones.")
    return lines


def trial_line(record: TrialRecord, plan: Plan) -> str:
    """`Trial 3/10  val_loss 1.2345 at epoch 4  learning_rate=0.01 units=32  2.1 s`, the first epoch being 1."""
    if record.value is None or record.epoch is None:
        outcome = f"{record.status}: {record.message}"
    else:
        spread = f" +- {record.spread:.2g}" if record.spread is not None else ""
        outcome = f"{plan.config.objective.metric} {shown(record.value)}{spread} at epoch {record.epoch + 1}"
        outcome += f" ({record.message})" if record.status == PRUNED else ""
    # Of the whole space, not of what is active in this trial: a name is the same in every line and in the table.
    names = short_names(plan.space.parameters)
    parameters = " ".join(f"{names[path]}={shown(value)}" for path, value in record.parameters.items())
    return f"Trial {record.number}/{len(plan.trials)}  {outcome}  {parameters}  {record.seconds:.1f} s"


def trials_table(records: Iterable[TrialRecord], paths: Sequence[str], objective: Objective) -> Table:
    """The trials, the best first, then the pruned ones, those without a value last. The first epoch is 1."""
    table = Table(title=f"Trials by {objective.metric} ({objective.mode})", box=box.SIMPLE)
    for name in ("trial", objective.metric, "epoch", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in short_names(paths).values():
        table.add_column(Text(name), overflow="fold")
    ranks = {COMPLETED: 0, PRUNED: 1}
    for record in sorted(
        records, key=lambda one: (ranks.get(one.status, 2), objective.sortable(one.value), one.number)
    ):
        value = record.status if record.value is None else shown(record.value)
        value += f" +- {record.spread:.2g}" if record.spread is not None else ""
        value += " pruned" if record.status == PRUNED and record.value is not None else ""
        epoch = "" if record.epoch is None else str(record.epoch + 1)
        cells = [brief(record.parameters[path]) if path in record.parameters else "" for path in paths]
        table.add_row(str(record.number), value, epoch, f"{record.seconds:.1f}", *(Text(cell) for cell in cells))
    return table


def shown(value: Any) -> str:
    """A value as one would write it in the search file, on one line, with five digits: `{type: l2, rate: 0.0001}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(key)}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:.5g}"
    # Text that YAML would read as something else, such as "null", needs its quotes.
    if isinstance(value, str) and _WORD.match(value) and yaml_document.scalar(value) == value:
        return value
    return json.dumps(value)


def brief(value: Any) -> str:
    """A value where there is little room: `dropout 0.5` for `{type: dropout, rate: 0.5}`, others as `shown`."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return shown(value)
    return " ".join([value["type"], *(shown(item) for key, item in value.items() if key != "type")])
