"""The names that a search file's `pruner` knows."""

from typing import Annotated, Any

from annotated_types import Ge, Le

from kerastrain._core.registry import FiniteFloat, NonNegativeFloat, NonNegativeInt, PositiveInt, Registry
from kerastrain.tuning.pruners import (
    DivergencePruner,
    MedianPruner,
    PatiencePruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)

PRUNERS = Registry("pruner")

_STARTING: dict[str, Any] = {
    "startup_trials": NonNegativeInt,
    "warmup_epochs": NonNegativeInt,
    "interval_epochs": PositiveInt,
    "min_trials": PositiveInt,
}

PRUNERS.add(
    "median",
    MedianPruner,
    "End a trial whose best value is worse than the median of the completed trials at its epoch.",
    **_STARTING,
)
PRUNERS.add(
    "percentile",
    PercentilePruner,
    "End a trial whose best value is not among the best percent of the completed trials at its epoch.",
    percentile=Annotated[float, Ge(0), Le(100)],
    **_STARTING,
)
PRUNERS.add(
    "asha",
    SuccessiveHalvingPruner,
    "End a trial that is not among the best 1 / reduction_factor of those that came to a rung.",
    min_epochs=PositiveInt,
    reduction_factor=Annotated[int, Ge(2)],
)
PRUNERS.add(
    "patience",
    PatiencePruner,
    "End a trial that has not come near its earlier best for some epochs.",
    patience=NonNegativeInt,
    min_delta=NonNegativeFloat,
)
PRUNERS.add(
    "divergence",
    DivergencePruner,
    "End a trial whose value is not finite, or worse than a threshold.",
    threshold=FiniteFloat | None,
    warmup_epochs=NonNegativeInt,
)
