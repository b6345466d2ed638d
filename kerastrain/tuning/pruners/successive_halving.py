"""Trials compete at rungs, and few of them climb on."""

import math
from collections.abc import Sequence

from kerastrain._core.checks import whole_number
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.pruners.curve import Curve


class SuccessiveHalvingPruner:
    """End a trial that is not among the best `1 / reduction_factor` of those that came to a rung (ASHA).

        rung k is after min_epochs * reduction_factor^k epochs;
        go on if v_n is among the floor(N / reduction_factor) best of the N trials that came to it, at least the best

    For many short trials: of 64 trials with `reduction_factor` 4 and `min_epochs` 1 about 16 train 4 epochs, 4 of them
    16. It compares the value of the rung's epoch itself, also with trials that were ended there. A value that is not
    finite ends the trial.

    Args:
        min_epochs: epochs to the first rung, the paper's r, an int >= 1. Default: 1.
        reduction_factor: the paper's eta, an int >= 2. Default: 4.

    Raises:
        InputError: an argument outside its range.

    Example:

    >>> from kerastrain.tuning import Objective
    >>> earlier = [Curve((loss,), completed=False) for loss in (1.0, 2.0, 3.0)]
    >>> SuccessiveHalvingPruner(reduction_factor=2).reason([2.5], earlier, Objective(metric="val_loss", mode="min"))
    'val_loss 2.5 is not among the best 2 of 4 trials at the rung of epoch 1, the last of which has 2'

    Reference: Li et al., 2020, A system for massively parallel hyperparameter tuning, MLSys, arXiv:1810.05934,
    algorithm 2, in the form of `optuna.pruners.SuccessiveHalvingPruner`: a trial is judged when it comes to a rung, and
    one that was ended does not come back when later ones are worse.
    """

    needs_trials = 1

    def __init__(self, min_epochs: int = 1, reduction_factor: int = 4) -> None:
        self.min_epochs = whole_number("min_epochs", min_epochs)
        self.reduction_factor = whole_number("reduction_factor", reduction_factor, minimum=2)
        self.needs_epochs = self.min_epochs

    def reason(self, values: Sequence[float], earlier: Sequence[Curve], objective: Objective) -> str | None:
        """As `Pruner.reason` says."""
        epochs = len(values)
        if not self._is_rung(epochs):
            return None
        value = objective.sortable(values[-1])
        if math.isnan(value):
            return f"{objective.metric} is not finite at the rung of epoch {epochs}"
        there = [objective.sortable(curve.values[epochs - 1]) for curve in earlier if len(curve.values) >= epochs]
        competing = sorted([value, *(cost for cost in there if not math.isnan(cost))])
        promoted = max(1, len(competing) // self.reduction_factor)
        if value <= competing[promoted - 1]:
            return None
        last = objective.sortable(competing[promoted - 1])
        return (
            f"{objective.metric} {values[-1]:.5g} is not among the best {promoted} of {len(competing)} trials at the "
            f"rung of epoch {epochs}, the last of which has {last:.5g}"
        )

    def _is_rung(self, epochs: int) -> bool:
        rung = self.min_epochs
        while rung < epochs:
            rung *= self.reduction_factor
        return rung == epochs
