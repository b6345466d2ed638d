"""Callbacks whose state survives a resume: stopping, plateaus, moving hyperparameters, averages, snapshots."""

from kerastrain.callbacks.stateful_callback import StatefulCallback

__all__ = ["StatefulCallback"]
