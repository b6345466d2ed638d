"""Numbers in, matplotlib `Figure` out. Nothing else in the package draws."""

from kerastrain.plots.curves import curves

__all__ = ["curves"]
