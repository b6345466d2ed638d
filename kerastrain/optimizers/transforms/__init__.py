"""Gradient transforms: slot 1 of `ComposedOptimizer`."""

from kerastrain.optimizers.transforms.adaptive_clip import AdaptiveClip
from kerastrain.optimizers.transforms.add_gradient_noise import AddGradientNoise
from kerastrain.optimizers.transforms.centralize_gradients import CentralizeGradients
from kerastrain.optimizers.transforms.clip_by_global_norm import ClipByGlobalNorm
from kerastrain.optimizers.transforms.clip_by_norm import ClipByNorm
from kerastrain.optimizers.transforms.clip_by_value import ClipByValue
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform
from kerastrain.optimizers.transforms.normalize_gradients import NormalizeGradients
from kerastrain.optimizers.transforms.record_gradient_norms import RecordGradientNorms
from kerastrain.optimizers.transforms.skip_non_finite import SkipNonFinite

__all__ = [
    "AdaptiveClip",
    "AddGradientNoise",
    "CentralizeGradients",
    "ClipByGlobalNorm",
    "ClipByNorm",
    "ClipByValue",
    "GradientTransform",
    "NormalizeGradients",
    "RecordGradientNorms",
    "SkipNonFinite",
]
