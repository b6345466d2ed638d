"""Initializers that Keras lacks."""

from kerastrain.initializers.dirac import Dirac
from kerastrain.initializers.fan_in_normal import FanInNormal
from kerastrain.initializers.lsuv import LSUV
from kerastrain.initializers.patch_whitening import PatchWhitening

__all__ = ["LSUV", "Dirac", "FanInNormal", "PatchWhitening"]
