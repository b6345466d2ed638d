"""Looking into a network: numbers only, drawn by `kerastrain.plots`."""

from kerastrain.diagnostics.signal_propagation import LayerSignal, signal_propagation

__all__ = ["LayerSignal", "signal_propagation"]
