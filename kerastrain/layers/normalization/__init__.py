"""Normalization."""

from kerastrain.layers.normalization.fused_batch_normalization import FusedBatchNormalization
from kerastrain.layers.normalization.ghost_batch_normalization import GhostBatchNormalization
from kerastrain.layers.normalization.recalibrate import recalibrate
from kerastrain.layers.normalization.textbook_batch_normalization import TextbookBatchNormalization

__all__ = ["FusedBatchNormalization", "GhostBatchNormalization", "TextbookBatchNormalization", "recalibrate"]
