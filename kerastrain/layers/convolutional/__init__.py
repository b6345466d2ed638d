"""Convolutions."""

from kerastrain.layers.convolutional.small_image_conv_2d import SmallImageConv2D

__all__ = ["SmallImageConv2D"]
