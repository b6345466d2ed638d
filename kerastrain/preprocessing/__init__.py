"""Array functions that prepare images before training."""

from kerastrain.preprocessing.flips import flip_mask
from kerastrain.preprocessing.random_crop import random_crop

__all__ = ["flip_mask", "random_crop"]
