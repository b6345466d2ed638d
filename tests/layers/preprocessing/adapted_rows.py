"""The layers that learn from data, and their formulas in NumPy."""

import keras
import numpy as np
import pytest
from layer_probes import array

from kerastrain.layers import MeanCentering, MinMaxScaling, NonNegativeShift, PCAWhitening, ZCAWhitening


def samples(count=60, seed=0):
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(4, 4))
    return (generator.normal(size=(count, 4)) @ mixing + [1.0, -5.0, 20.0, 0.0]).astype(np.float32)


def pca(x, seen):
    """By singular vectors of the data, the largest element of each positive."""
    mean = seen.mean(axis=0)
    _, singular, axes = np.linalg.svd(seen - mean, full_matrices=False)
    axes = axes * np.array([np.sign(max(axis, key=abs)) for axis in axes])[:, None]
    return (x - mean) @ axes.T / (singular / np.sqrt(len(seen) - 1))


def zca(x, seen):
    """The positive root: what is left of the data's singular value decomposition U S V^T is U V^T."""
    mean = seen.mean(axis=0)
    _, singular, axes = np.linalg.svd(seen - mean, full_matrices=False)
    return (x - mean) @ axes.T / (singular / np.sqrt(len(seen) - 1)) @ axes


# The layer, its formula on (x, what it was adapted to), and its weights.
ROWS = {
    "centering": (MeanCentering, lambda x, seen: x - seen.mean(axis=0), ["mean"]),
    "shift": (NonNegativeShift, lambda x, seen: x - seen.min(axis=0), ["minimum"]),
    "scaling": (
        MinMaxScaling,
        lambda x, seen: (x - seen.min(axis=0)) / (seen.max(axis=0) - seen.min(axis=0)),
        ["minimum", "maximum"],
    ),
    "pca": (PCAWhitening, pca, ["mean", "matrix"]),
    "zca": (ZCAWhitening, zca, ["mean", "matrix"]),
}
EVERY = pytest.mark.parametrize("row", ROWS)
# For what is the base's alone and takes a compilation each time.
ONE = pytest.mark.parametrize("row", ["pca"])


def expected(row, x, seen):
    return ROWS[row][1](np.float64(x), np.float64(seen))


def check(row, outputs, x, seen, atol=2e-5):
    np.testing.assert_allclose(array(outputs), expected(row, x, seen), rtol=2e-5, atol=atol)


def model_of(layer):
    return keras.Sequential([keras.Input((4,)), layer])


def message(row, layer):
    return f"{ROWS[row][0].__name__} `{layer.name}` must be adapted to data first"
