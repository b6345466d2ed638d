"""Callbacks whose state survives a resume: stopping, plateaus, moving hyperparameters, averages, snapshots."""

from kerastrain.callbacks.early_stopping import EarlyStopping
from kerastrain.callbacks.stateful_callback import StatefulCallback

__all__ = ["EarlyStopping", "StatefulCallback"]
