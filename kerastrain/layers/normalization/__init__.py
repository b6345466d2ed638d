"""Normalization."""

from kerastrain.layers.normalization.recalibrate import recalibrate

__all__ = ["recalibrate"]
