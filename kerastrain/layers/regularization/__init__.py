"""Dropout in its other forms."""

from kerastrain.layers.regularization.drop_block_2d import DropBlock2D
from kerastrain.layers.regularization.drop_connect import DropConnect
from kerastrain.layers.regularization.mc_predict import mc_predict
from kerastrain.layers.regularization.stochastic_depth import StochasticDepth
from kerastrain.layers.regularization.textbook_dropout import TextbookDropout
from kerastrain.layers.regularization.variable_rate_dropout import VariableRateDropout

__all__ = [
    "DropBlock2D",
    "DropConnect",
    "StochasticDepth",
    "TextbookDropout",
    "VariableRateDropout",
    "mc_predict",
]
