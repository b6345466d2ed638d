"""Callbacks whose state survives a resume: stopping, plateaus, moving hyperparameters, averages, snapshots."""

from kerastrain.callbacks.averaged_weights import AveragedWeights
from kerastrain.callbacks.best_model import BestModel
from kerastrain.callbacks.divergence_guard import DivergenceGuard
from kerastrain.callbacks.early_stopping import EarlyStopping
from kerastrain.callbacks.gradual_unfreezing import GradualUnfreezing
from kerastrain.callbacks.reduce_on_plateau import ReduceOnPlateau
from kerastrain.callbacks.resumable_checkpoint import ResumableCheckpoint
from kerastrain.callbacks.schedule_hyperparameter import ScheduleHyperparameter
from kerastrain.callbacks.snapshot_ensemble import SnapshotEnsemble
from kerastrain.callbacks.stateful_callback import StatefulCallback

__all__ = [
    "AveragedWeights",
    "BestModel",
    "DivergenceGuard",
    "EarlyStopping",
    "GradualUnfreezing",
    "ReduceOnPlateau",
    "ResumableCheckpoint",
    "ScheduleHyperparameter",
    "SnapshotEnsemble",
    "StatefulCallback",
]
