"""Clipping, parameter groups and averages around any Keras optimizer; schedules and update rules that Keras lacks."""

from kerastrain.optimizers import schedules
from kerastrain.optimizers.averaged_weights import averaged_weights, has_averaged_weights
from kerastrain.optimizers.averaging import (
    ExponentialAveraging,
    Lookahead,
    PolyakAveraging,
    StochasticWeightAveraging,
    WeightAveraging,
)
from kerastrain.optimizers.composed_optimizer import ComposedOptimizer
from kerastrain.optimizers.group_helpers import layerwise_decay, no_decay_on_bias_and_norm
from kerastrain.optimizers.lookahead_nesterov import LookaheadNesterov
from kerastrain.optimizers.momentum_sgd import MomentumSGD
from kerastrain.optimizers.orthogonalized_momentum import OrthogonalizedMomentum
from kerastrain.optimizers.parameter_group import ParameterGroup
from kerastrain.optimizers.textbook_adam import TextbookAdam
from kerastrain.optimizers.textbook_rmsprop import TextbookRMSProp
from kerastrain.optimizers.transforms import (
    AdaptiveClip,
    AddGradientNoise,
    CentralizeGradients,
    ClipByGlobalNorm,
    ClipByNorm,
    ClipByValue,
    GradientTransform,
    NormalizeGradients,
    RecordGradientNorms,
    SkipNonFinite,
)
from kerastrain.optimizers.tunable_optimizer import TunableOptimizer

__all__ = [
    "AdaptiveClip",
    "AddGradientNoise",
    "CentralizeGradients",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "ComposedOptimizer",
    "ExponentialAveraging",
    "GradientTransform",
    "Lookahead",
    "LookaheadNesterov",
    "MomentumSGD",
    "NormalizeGradients",
    "OrthogonalizedMomentum",
    "ParameterGroup",
    "PolyakAveraging",
    "RecordGradientNorms",
    "SkipNonFinite",
    "StochasticWeightAveraging",
    "TextbookAdam",
    "TextbookRMSProp",
    "TunableOptimizer",
    "WeightAveraging",
    "averaged_weights",
    "has_averaged_weights",
    "layerwise_decay",
    "no_decay_on_bias_and_norm",
    "schedules",
]
