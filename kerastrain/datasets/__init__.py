"""Labeled images: CIFAR-10, synthetic ones, the user's own; their splits, and the forms that tasks take them in."""

from kerastrain.datasets import cifar10, own, synthetic
from kerastrain.datasets.batches import Augmentation, Batches
from kerastrain.datasets.catalog import DATASETS, load
from kerastrain.datasets.forms import FORMS, apply_form, color_histogram
from kerastrain.datasets.image_data import ImageData
from kerastrain.datasets.seeded_order import SeededOrder
from kerastrain.datasets.splits import Split, Splits, split

__all__ = [
    "DATASETS",
    "FORMS",
    "Augmentation",
    "Batches",
    "ImageData",
    "SeededOrder",
    "Split",
    "Splits",
    "apply_form",
    "cifar10",
    "color_histogram",
    "load",
    "own",
    "split",
    "synthetic",
]
