"""Layers that Keras lacks, and what belongs to layers."""

from kerastrain.layers.normalization import recalibrate

__all__ = ["recalibrate"]
