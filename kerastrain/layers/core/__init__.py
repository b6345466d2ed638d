"""Layers with weights."""

from kerastrain.layers.core.tied_dense import TiedDense

__all__ = ["TiedDense"]
