"""Filters that whiten the patches of images."""

import math
from typing import Any, Self

import keras
import numpy as np

from kerastrain._core.checks import boolean, number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import PositiveFloat


@keras.saving.register_keras_serializable(package="kerastrain")
class PatchWhitening(keras.initializers.Initializer):
    """The kernel of a convolution whose outputs are uncorrelated and of one size: the PCA of image patches.

    `w_k = v_k / sqrt(lambda_k + epsilon)`, and `-w_k` behind them, lambda_k and v_k the largest eigenvalues and their
    eigenvectors of the second moment `mean(p p^T)` of all patches p of the kernel's size

    For the first layer, frozen, before an activation (which is why each filter comes with its negation): training
    starts from decorrelated inputs and is faster. `adapt` it to normalized images, then give it to
    `Conv2D(2 * size * size * channels, size, use_bias=False, kernel_initializer=..., trainable=False)`, or to fewer
    filters for the largest eigenvalues. The moment is not centered, as in the speed records; Keras has nothing of the
    kind.

    Args:
        epsilon: added to the eigenvalues, a number > 0.
        mirrored: whether the negations come too; without them the filters are as many as values in a patch.
        moments: what `adapt` found before, from a config: the second moment of the patches as nested lists.

    Raises:
        InputError: `epsilon` is no number > 0, `mirrored` not True or False; at the call, not adapted, or a shape that
            does not fit.

    Example:

    >>> images = np.random.default_rng(0).normal(size=(100, 8, 8, 3))
    >>> whitening = PatchWhitening().adapt(images, size=2)
    >>> tuple(whitening((2, 2, 3, 24)).shape)
    (2, 2, 3, 24)

    Reference: Page, 2019, How to train your ResNet 8: bag of tricks; Jordan, 2024, 94% on CIFAR-10 in 3.29 seconds on a
    single GPU, arXiv:2404.00498, section 3.1, with its epsilon of 5e-4.
    """

    def __init__(self, epsilon: PositiveFloat = 5e-4, mirrored: bool = True, moments: Any = None) -> None:
        self.epsilon = number("epsilon", epsilon, above=0)
        self.mirrored = boolean("mirrored", mirrored)
        self.moments = None if moments is None else np.asarray(moments, dtype=np.float64)

    def adapt(self, images: Any, size: int = 2) -> Self:
        """Learn the patches of `images`.

        Args:
            images: `(samples, height, width, channels)`, normalized as the layer will get them; 5,000 are enough.
            size: height and width of the kernel, at least 1.

        Returns:
            The initializer.

        Raises:
            InputError: no images, smaller ones than the kernel, or numbers that are not finite.
        """
        size = whole_number("size", size)
        images = np.asarray(images, dtype=np.float64)
        if images.ndim != 4 or not len(images) or min(images.shape[1:3]) < size:
            raise InputError(
                f"`images` must be (samples, height, width, channels) of at least {size} pixels. Received: shape "
                f"{images.shape}."
            )
        if not np.isfinite(images).all():
            raise InputError("`images` must be finite numbers. Received: NaN or infinity among them.")
        views = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
        features = size * size * images.shape[-1]
        total, count = np.zeros((features, features)), 0
        for start in range(0, len(views), 256):
            # (samples, rows, columns, channels, size, size) -> patches in the order of a kernel's axes.
            patches = views[start : start + 256].transpose(0, 1, 2, 4, 5, 3).reshape(-1, features)
            total += patches.T @ patches
            count += len(patches)
        self.moments = total / count
        return self

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A kernel of `shape` `(size, size, channels, filters)`."""
        if self.moments is None:
            raise InputError("PatchWhitening must be adapted to images first: PatchWhitening().adapt(images).")
        features, filters = math.prod(shape[:-1]), shape[-1]
        most = len(self.moments) * (2 if self.mirrored else 1)
        fits = len(shape) == 4 and shape[0] == shape[1] and features == len(self.moments)
        if not fits or filters > most or (self.mirrored and filters % 2):
            raise InputError(
                f"The kernel must be square, of {len(self.moments)} values a filter, as the patches that were seen, "
                f"with at most {most} filters{', an even number' if self.mirrored else ''}. Received: shape "
                f"{tuple(shape)}."
            )
        values, vectors = np.linalg.eigh(self.moments)
        kept = filters // 2 if self.mirrored else filters
        values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
        kernel = vectors / np.sqrt(np.maximum(values, 0.0) + self.epsilon)
        if self.mirrored:
            kernel = np.concatenate([kernel, -kernel], axis=1)
        return keras.ops.convert_to_tensor(kernel.reshape(shape).astype(np.float32), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        moments = None if self.moments is None else self.moments.tolist()
        return {"epsilon": self.epsilon, "mirrored": self.mirrored, "moments": moments}
