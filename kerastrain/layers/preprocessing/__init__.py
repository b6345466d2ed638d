"""Preprocessing that learns its numbers from data, and views of images."""

from kerastrain.layers.preprocessing.mean_centering import MeanCentering
from kerastrain.layers.preprocessing.min_max_scaling import MinMaxScaling
from kerastrain.layers.preprocessing.non_negative_shift import NonNegativeShift
from kerastrain.layers.preprocessing.pca_whitening import PCAWhitening
from kerastrain.layers.preprocessing.test_time_augmentation import TestTimeAugmentation
from kerastrain.layers.preprocessing.zca_whitening import ZCAWhitening

__all__ = [
    "MeanCentering",
    "MinMaxScaling",
    "NonNegativeShift",
    "PCAWhitening",
    "TestTimeAugmentation",
    "ZCAWhitening",
]
