"""The names that a recipe's `data.preprocess` knows: Keras layers at the head of the model, so the host keeps uint8."""

from typing import Any, Literal

import keras
import numpy as np

from kerastrain import initializers, layers
from kerastrain._core.registry import FiniteFloat, NonNegativeFloat, PositiveFloat, PositiveInt, Registry

PREPROCESSORS = Registry("preprocessing")

_CHUNK = 4096


def _none(*, images: np.ndarray) -> list[Any]:
    return [_as_float()]


def _rescale(*, images: np.ndarray) -> list[Any]:
    return [keras.layers.Rescaling(1.0 / 255.0, name="rescale")]


def _standardize(*, images: np.ndarray) -> list[Any]:
    mean, variance = channel_statistics(images)
    return [keras.layers.Normalization(axis=-1, mean=mean, variance=variance, name="standardize")]


def _mean_centering(*, images: np.ndarray) -> list[Any]:
    return [_as_float(), layers.MeanCentering(name="mean_centering").adapt(images)]


def _non_negative_shift(*, images: np.ndarray) -> list[Any]:
    return [_as_float(), layers.NonNegativeShift(name="non_negative_shift").adapt(images)]


def _min_max_scaling(low: FiniteFloat = 0.0, high: FiniteFloat = 1.0, *, images: np.ndarray) -> list[Any]:
    return [_as_float(), layers.MinMaxScaling(low, high, name="min_max_scaling").adapt(images)]


def _pca_whitening(
    components: PositiveInt | None = None,
    epsilon: NonNegativeFloat = 1e-2,
    samples: PositiveInt = 10_000,
    *,
    images: np.ndarray,
) -> list[Any]:
    rescale = _rescale(images=images)
    whitening = layers.PCAWhitening(components, epsilon, name="pca_whitening")
    return [*rescale, whitening.adapt(_rescaled(_some(images, samples)))]


def _zca_whitening(epsilon: NonNegativeFloat = 1e-2, samples: PositiveInt = 10_000, *, images: np.ndarray) -> list[Any]:
    return [
        *_rescale(images=images),
        layers.ZCAWhitening(epsilon, name="zca_whitening").adapt(_rescaled(_some(images, samples))),
    ]


def _patch_whitening(
    size: PositiveInt = 2,
    epsilon: PositiveFloat = 5e-4,
    samples: PositiveInt = 5_000,
    padding: Literal["same", "valid"] = "same",
    *,
    images: np.ndarray,
) -> list[Any]:
    mean, variance = channel_statistics(images)
    channels = images.shape[-1]
    normalized = (_some(images, samples) - np.array(mean)) / np.sqrt(np.array(variance))
    whitening = keras.layers.Conv2D(
        2 * size * size * channels,
        size,
        padding=padding,
        use_bias=False,
        trainable=False,
        kernel_initializer=initializers.PatchWhitening(epsilon).adapt(normalized, size),
        name="patch_whitening",
    )
    return [*_standardize(images=images), whitening]


_DATA = ("images",)
PREPROCESSORS.add("none", _none, "Pixels from 0 to 255, as floating point.", skip=_DATA)
PREPROCESSORS.add("rescale", _rescale, "Pixels times 1/255.", skip=_DATA)
PREPROCESSORS.add(
    "standardize", _standardize, "Each channel to mean 0 and standard deviation 1 on the training set.", skip=_DATA
)
PREPROCESSORS.add("mean_centering", _mean_centering, "Each channel to mean 0 on the training set.", skip=_DATA)
PREPROCESSORS.add("min_max_scaling", _min_max_scaling, "Each channel's range to [low, high].", skip=_DATA)
PREPROCESSORS.add("non_negative_shift", _non_negative_shift, "Each channel less its minimum.", skip=_DATA)
PREPROCESSORS.add(
    "pca_whitening", _pca_whitening, "The image's principal components, each of variance 1; for MLPs.", skip=_DATA
)
PREPROCESSORS.add("zca_whitening", _zca_whitening, "Pixels uncorrelated and of variance 1, still an image.", skip=_DATA)
PREPROCESSORS.add(
    "patch_whitening",
    _patch_whitening,
    "A frozen convolution that whitens the patches of standardized images.",
    skip=_DATA,
)


def _as_float() -> keras.Layer:
    return keras.layers.Rescaling(1.0, name="as_float")


def _some(images: np.ndarray, samples: int) -> np.ndarray:
    """At most `samples` of the images, from all over the set, which may be sorted by class."""
    return images[np.unique(np.linspace(0, len(images) - 1, samples).astype(int))]


def _rescaled(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 255.0


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
