"""Looking into a network and its training: numbers only, drawn by `kerastrain.plots`."""

from kerastrain.diagnostics.learning_rate_range import LearningRateRange
from kerastrain.diagnostics.learning_rate_range_test import learning_rate_range_test
from kerastrain.diagnostics.signal_propagation import LayerSignal, signal_propagation

__all__ = ["LayerSignal", "LearningRateRange", "learning_rate_range_test", "signal_propagation"]
