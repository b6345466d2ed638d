"""Rules that end a trial early, from its values after each epoch and those of the trials before it."""

from kerastrain.tuning.pruners.curve import Curve, Pruner
from kerastrain.tuning.pruners.divergence import DivergencePruner
from kerastrain.tuning.pruners.patience import PatiencePruner
from kerastrain.tuning.pruners.percentile import MedianPruner, PercentilePruner
from kerastrain.tuning.pruners.successive_halving import SuccessiveHalvingPruner

__all__ = [
    "Curve",
    "DivergencePruner",
    "MedianPruner",
    "PatiencePruner",
    "PercentilePruner",
    "Pruner",
    "SuccessiveHalvingPruner",
]
