"""A trial is compared with what the earlier ones had at the same epoch."""

import math
from collections.abc import Sequence

import numpy as np

from kerastrain._core.checks import number, whole_number
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.pruners.curve import Curve, lowest


class PercentilePruner:
    """End a trial whose best value so far is not among the best `percentile` percent at its epoch.

        best(v_1 .. v_n) worse than the percentile of { v_n of the completed trials }

    For learning curves that seldom cross: a warmup or a schedule whose rate ends at 0 lets good trials look bad early,
    so give them `warmup_epochs`. Only completed trials are compared with, each by its value of epoch n itself and not
    by its best; values that are not finite are left out; a trial without any finite value is ended.

    Args:
        percentile: how many percent of the trials are kept, in [0, 100].
        startup_trials: completed trials before any is ended, an int >= 0. Default: 5.
        warmup_epochs: epochs at the beginning of a trial that are not looked at, an int >= 0. Default: 0.
        interval_epochs: look every so many epochs from there, an int >= 1. Default: 1.
        min_trials: completed trials that must have come to this epoch, an int >= 1. Default: 1.

    Raises:
        InputError: an argument outside its range.

    Example:

    >>> from kerastrain.tuning import Objective
    >>> pruner = PercentilePruner(25.0, startup_trials=4)
    >>> earlier = [Curve((loss,), completed=True) for loss in (1.0, 2.0, 3.0, 4.0)]
    >>> pruner.reason([1.8], earlier, Objective(metric="val_loss", mode="min"))
    'val_loss 1.8 is not among the best 25 % of 4 trials at epoch 1, which end at 1.75'

    Reference: `optuna.pruners.PercentilePruner` (Akiba et al., 2019, Optuna, KDD, arXiv:1907.10902), with epochs as
    steps, the first being step 0.
    """

    def __init__(
        self,
        percentile: float,
        startup_trials: int = 5,
        warmup_epochs: int = 0,
        interval_epochs: int = 1,
        min_trials: int = 1,
    ) -> None:
        self.percentile = number("percentile", percentile, minimum=0, maximum=100)
        self.startup_trials = whole_number("startup_trials", startup_trials, minimum=0)
        self.warmup_epochs = whole_number("warmup_epochs", warmup_epochs, minimum=0)
        self.interval_epochs = whole_number("interval_epochs", interval_epochs)
        self.min_trials = whole_number("min_trials", min_trials)
        self.needs_trials = max(1, self.startup_trials, self.min_trials)
        self.needs_epochs = self.warmup_epochs + 1

    def reason(self, values: Sequence[float], earlier: Sequence[Curve], objective: Objective) -> str | None:
        """As `Pruner.reason` says."""
        completed = [curve.values for curve in earlier if curve.completed]
        epoch = len(values) - 1
        if not completed or len(completed) < self.startup_trials:
            return None
        if epoch < self.warmup_epochs or (epoch - self.warmup_epochs) % self.interval_epochs:
            return None
        best = lowest(map(objective.sortable, values))
        if math.isnan(best):
            return f"no epoch has a finite {objective.metric}"
        there = [objective.sortable(curve[epoch]) for curve in completed if len(curve) > epoch]
        finite = [cost for cost in there if not math.isnan(cost)]
        if len(there) < self.min_trials or not finite:
            return None
        bound = float(np.percentile(finite, self.percentile))
        if best <= bound:
            return None
        shown, limit = (f"{objective.sortable(cost):.5g}" for cost in (best, bound))
        return (
            f"{objective.metric} {shown} is {self._failed(len(finite))} at epoch {epoch + 1}, which {self._ends(limit)}"
        )

    def _failed(self, trials: int) -> str:
        return f"not among the best {self.percentile:g} % of {trials} trials"

    def _ends(self, limit: str) -> str:
        return f"end at {limit}"


class MedianPruner(PercentilePruner):
    """End a trial whose best value so far is worse than the median of the completed trials at its epoch.

        best(v_1 .. v_n) worse than the median of { v_n of the completed trials }

    The pruner to begin with. It is `PercentilePruner(50)`.

    Args:
        startup_trials, warmup_epochs, interval_epochs, min_trials: as `PercentilePruner` has them.

    Raises:
        InputError: an argument outside its range.

    Example:

    >>> from kerastrain.tuning import Objective
    >>> pruner = MedianPruner(startup_trials=3)
    >>> earlier = [Curve((accuracy,), completed=True) for accuracy in (0.3, 0.4, 0.5)]
    >>> pruner.reason([0.35], earlier, Objective(metric="val_accuracy", mode="max"))
    'val_accuracy 0.35 is worse than the median of 3 trials at epoch 1, which is 0.4'

    Reference: the median stopping rule of Golovin et al., 2017, Google Vizier, KDD, section 3.2.2, in the form of
    `optuna.pruners.MedianPruner`, which compares with values and not with running averages.
    """

    def __init__(
        self, startup_trials: int = 5, warmup_epochs: int = 0, interval_epochs: int = 1, min_trials: int = 1
    ) -> None:
        super().__init__(50.0, startup_trials, warmup_epochs, interval_epochs, min_trials)

    def _failed(self, trials: int) -> str:
        return f"worse than the median of {trials} trials"

    def _ends(self, limit: str) -> str:
        return f"is {limit}"
