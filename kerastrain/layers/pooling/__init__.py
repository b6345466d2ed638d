"""Pooling."""

from kerastrain.layers.pooling.fused_max_pooling_2d import FusedMaxPooling2D

__all__ = ["FusedMaxPooling2D"]
