"""What a pruner reads."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, Self

from kerastrain.tuning.objective import Objective


@dataclasses.dataclass(frozen=True)
class Curve:
    """The objective of one trial after each of its epochs.

    Args:
        values: one an epoch, from the first; NaN where it is not finite.
        completed: whether the trial was trained to its end, neither pruned nor diverged.

    Example:

    >>> Curve.of([{"epoch": 0, "val_loss": 2.5}, {"epoch": 1, "val_loss": None}], "val_loss", completed=True)
    Curve(values=(2.5, nan), completed=True)
    """

    values: tuple[float, ...]
    completed: bool

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], metric: str, *, completed: bool) -> Self:
        """The curve of a history. What is not finite is NaN: a record on disk no longer tells infinity from it."""
        return cls(tuple(_finite(row.get(metric)) for row in rows), completed)


class Pruner(Protocol):
    """A rule. What it says follows from its arguments alone, so a resumed search is pruned as an uninterrupted one.

    needs_trials: completed trials before it can end one.
    needs_epochs: epochs of a trial after which it looks for the first time.
    """

    needs_trials: int
    needs_epochs: int

    def reason(self, values: Sequence[float], earlier: Sequence[Curve], objective: Objective) -> str | None:
        """Why the running trial is to end here; None for going on.

        Args:
            values: its objective after each epoch so far, at least one.
            earlier: the trials before it, in their order.
            objective: which way is better.
        """
        ...


def lowest(costs: Iterable[float]) -> float:
    """The smallest that is not NaN; NaN when there is none."""
    return min((cost for cost in costs if not math.isnan(cost)), default=math.nan)


def _finite(value: Any) -> float:
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else math.nan
