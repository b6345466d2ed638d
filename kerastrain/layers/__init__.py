"""Layers that Keras lacks, and what belongs to layers."""

from kerastrain.layers.activations import GELU, Maxout, PReLU, StochasticGELU
from kerastrain.layers.convolutional import SmallImageConv2D
from kerastrain.layers.core import TiedDense
from kerastrain.layers.normalization import (
    FusedBatchNormalization,
    GhostBatchNormalization,
    TextbookBatchNormalization,
    recalibrate,
)
from kerastrain.layers.preprocessing import (
    MeanCentering,
    MinMaxScaling,
    NonNegativeShift,
    PCAWhitening,
    TestTimeAugmentation,
    ZCAWhitening,
)
from kerastrain.layers.regularization import (
    DropBlock2D,
    DropConnect,
    StochasticDepth,
    TextbookDropout,
    VariableRateDropout,
    mc_predict,
)

__all__ = [
    "GELU",
    "DropBlock2D",
    "DropConnect",
    "FusedBatchNormalization",
    "GhostBatchNormalization",
    "Maxout",
    "MeanCentering",
    "MinMaxScaling",
    "NonNegativeShift",
    "PCAWhitening",
    "PReLU",
    "SmallImageConv2D",
    "StochasticDepth",
    "StochasticGELU",
    "TestTimeAugmentation",
    "TextbookBatchNormalization",
    "TextbookDropout",
    "TiedDense",
    "VariableRateDropout",
    "ZCAWhitening",
    "mc_predict",
    "recalibrate",
]
