"""Numbers in, matplotlib `Figure` out. Nothing else in the package draws."""

from kerastrain.plots.activations import activations
from kerastrain.plots.best_values import best_values
from kerastrain.plots.comparison import comparison
from kerastrain.plots.curves import curves
from kerastrain.plots.effects import effects
from kerastrain.plots.learning_rate_range import learning_rate_range
from kerastrain.plots.paths import paths
from kerastrain.plots.schedules import schedules

__all__ = ["activations", "best_values", "comparison", "curves", "effects", "learning_rate_range", "paths", "schedules"]
