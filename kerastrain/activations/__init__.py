"""Activation functions that Keras lacks."""

from kerastrain.activations.gelu import gelu
from kerastrain.activations.maxout import maxout
from kerastrain.activations.stochastic_gelu import stochastic_gelu

__all__ = ["gelu", "maxout", "stochastic_gelu"]
