"""Activation layers."""

from kerastrain.layers.activations.gelu import GELU
from kerastrain.layers.activations.maxout import Maxout
from kerastrain.layers.activations.prelu import PReLU
from kerastrain.layers.activations.stochastic_gelu import StochasticGELU

__all__ = ["GELU", "Maxout", "PReLU", "StochasticGELU"]
