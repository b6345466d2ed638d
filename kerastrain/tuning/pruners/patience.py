"""A trial is compared with itself."""

import math
from collections.abc import Sequence

from kerastrain._core.checks import number, whole_number
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.pruners.curve import Curve, lowest


class PatiencePruner:
    """End a trial that has not come near its earlier best for more than `patience` epochs.

        best(v_1 .. v_(n-p-1)) + min_delta better than best(v_(n-p) .. v_n), p = patience

    For trials that get worse for good, by overfitting or at too high a rate. A trial that it ends counts as pruned and
    never wins over a completed one, so where trials are to end when they are done, give the recipe the callback
    `early_stopping` instead. Values that are not finite are left out; without a finite one on either side it waits.

    Args:
        patience: an int >= 0. Default: 5.
        min_delta: how much worse it must be, a float >= 0. Default: 0.0.

    Raises:
        InputError: an argument outside its range.

    Example:

    >>> from kerastrain.tuning import Objective
    >>> PatiencePruner(patience=1).reason([1.0, 0.5, 0.8, 0.6], [], Objective(metric="val_loss", mode="min"))
    'the best val_loss of the last 2 epochs, 0.6, is worse than the 0.5 before'

    Reference: `optuna.pruners.PatientPruner` without a wrapped pruner.
    """

    needs_trials = 0

    def __init__(self, patience: int = 5, min_delta: float = 0.0) -> None:
        self.patience = whole_number("patience", patience, minimum=0)
        self.min_delta = number("min_delta", min_delta, minimum=0)
        self.needs_epochs = self.patience + 2

    def reason(self, values: Sequence[float], earlier: Sequence[Curve], objective: Objective) -> str | None:
        """As `Pruner.reason` says."""
        costs, recent = [objective.sortable(value) for value in values], self.patience + 1
        before, after = lowest(costs[:-recent]), lowest(costs[-recent:])
        if math.isnan(before) or math.isnan(after) or before + self.min_delta >= after:
            return None
        return (
            f"the best {objective.metric} of the last {recent} epochs, {objective.sortable(after):.5g}, is worse than "
            f"the {objective.sortable(before):.5g} before"
        )
