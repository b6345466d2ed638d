"""A trial is compared with a number."""

import math
from collections.abc import Sequence

from kerastrain._core.checks import number, whole_number
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.pruners.curve import Curve


class DivergencePruner:
    """End a trial whose value is not finite, or worse than a threshold.

        v_n is not finite, or worse than `threshold`

    The cheapest pruner: `threshold: 2.3` ends classifiers of ten classes that are no better than chance, ln 10 = 2.303.
    A training loss that is not finite ends a trial without it.

    Args:
        threshold: a float: the largest value to go on with where small is better, the smallest where large is; None for
            none. Default: None.
        warmup_epochs: epochs at the beginning that are not looked at, an int >= 0. Default: 0.

    Raises:
        InputError: an argument outside its range.

    Example:

    >>> from kerastrain.tuning import Objective
    >>> DivergencePruner(threshold=0.1).reason([0.08], [], Objective(metric="val_accuracy", mode="max"))
    'val_accuracy 0.08 of epoch 1 is worse than the threshold 0.1'

    Reference: `optuna.pruners.ThresholdPruner`.
    """

    needs_trials = 0

    def __init__(self, threshold: float | None = None, warmup_epochs: int = 0) -> None:
        self.threshold = None if threshold is None else number("threshold", threshold)
        self.warmup_epochs = whole_number("warmup_epochs", warmup_epochs, minimum=0)
        self.needs_epochs = self.warmup_epochs + 1

    def reason(self, values: Sequence[float], earlier: Sequence[Curve], objective: Objective) -> str | None:
        """As `Pruner.reason` says."""
        if len(values) <= self.warmup_epochs:
            return None
        value, threshold = values[-1], self.threshold
        if math.isnan(value):
            return f"{objective.metric} of epoch {len(values)} is not finite"
        if threshold is None or objective.sortable(value) <= objective.sortable(threshold):
            return None
        return f"{objective.metric} {value:.5g} of epoch {len(values)} is worse than the threshold {threshold:g}"
