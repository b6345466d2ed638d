"""The names that a recipe's `data.preprocess` knows: Keras layers at the head of the model, so the host keeps uint8."""

from typing import Any

import keras
import numpy as np

from kerastrain._core.registry import Registry

PREPROCESSORS = Registry("preprocessing")

_CHUNK = 4096


def _none(*, images: np.ndarray) -> list[Any]:
    return [keras.layers.Rescaling(1.0, name="as_float")]


def _rescale(*, images: np.ndarray) -> list[Any]:
    return [keras.layers.Rescaling(1.0 / 255.0, name="rescale")]


def _standardize(*, images: np.ndarray) -> list[Any]:
    mean, variance = channel_statistics(images)
    return [keras.layers.Normalization(axis=-1, mean=mean, variance=variance, name="standardize")]


PREPROCESSORS.add("none", _none, "Pixels from 0 to 255, as floating point.", skip=("images",))
PREPROCESSORS.add("rescale", _rescale, "Pixels times 1/255.", skip=("images",))
PREPROCESSORS.add(
    "standardize",
    _standardize,
    "Each channel to mean 0 and standard deviation 1 on the training set.",
    skip=("images",),
)


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and variance of each channel of `(samples, height, width, channels)`, in float64 and in little memory."""
    channels = images.shape[-1]
    count, total, squares = 0, np.zeros(channels), np.zeros(channels)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].reshape(-1, channels).astype(np.float64)
        count += len(chunk)
        total += chunk.sum(axis=0)
        squares += np.square(chunk).sum(axis=0)
    mean = total / count
    return mean.tolist(), (squares / count - np.square(mean)).tolist()
