"""Averages of the weights: slot 3 of `ComposedOptimizer`."""

from kerastrain.optimizers.averaging.exponential_averaging import ExponentialAveraging
from kerastrain.optimizers.averaging.lookahead import Lookahead
from kerastrain.optimizers.averaging.polyak_averaging import PolyakAveraging
from kerastrain.optimizers.averaging.stochastic_weight_averaging import StochasticWeightAveraging
from kerastrain.optimizers.averaging.weight_averaging import WeightAveraging

__all__ = [
    "ExponentialAveraging",
    "Lookahead",
    "PolyakAveraging",
    "StochasticWeightAveraging",
    "WeightAveraging",
]
