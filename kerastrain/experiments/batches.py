"""The order of the training samples, and their augmentation, as functions of (seed, epoch, position)."""

from typing import Any

import keras
import numpy as np

from kerastrain.experiments.augmentation_parts import AugmentationLayers
from kerastrain.preprocessing import flip_mask, random_crop


class Batches(keras.utils.PyDataset):
    """Training batches out of arrays in memory, in an order that depends on nothing but the seed and the epoch.

    `fit(shuffle=True)` takes its order from global state (and after `set_random_seed` repeats one permutation every
    epoch on TensorFlow); here epoch e always sees the permutation of (seed, e), and an image's crop and flip are
    functions of (seed, e, image), those of `layers` of (seed, e, batch), so that a batch can be made again at any time.
    `start` sets the epoch: Keras calls
    `on_epoch_end` also before the first one, so epochs cannot be counted by it. Fit with `shuffle=False`, else Keras
    permutes the batches from Python's global random state.

    Args:
        inputs: array `(samples, ...)`, or a dictionary of such arrays.
        labels: array `(samples, ...)`.
        batch_size: samples in a batch; the last one of an epoch may be smaller.
        seed: of the order and the augmentation.
        crop: pixels of reflected padding to crop from at random; 0 switches it off.
        flip: `none`, `random` or `alternating`, see `kerastrain.preprocessing.flip_mask`.
        layers: what comes after crop and flip, for a batch at a time.
        image_key: in a dictionary of inputs, the one to augment.
        even: split the epoch into batches whose sizes differ by at most one, and weigh their samples so that the mean
            of the batches' gradients is the gradient of the whole set, exactly (for full-batch learning).
    """

    def __init__(
        self,
        inputs: Any,
        labels: np.ndarray,
        batch_size: int,
        *,
        seed: int,
        crop: int = 0,
        flip: str = "none",
        layers: AugmentationLayers | None = None,
        image_key: str = "image",
        even: bool = False,
    ) -> None:
        super().__init__(workers=1)
        self.inputs, self.labels = inputs, labels
        self.seed, self.crop, self.flip, self.layers, self.image_key = seed, crop, flip, layers, image_key
        samples = len(labels)
        self.length = -(-samples // batch_size)
        if even:
            self.bounds = np.linspace(0, samples, self.length + 1).round().astype(int)
        else:
            self.bounds = np.minimum(np.arange(self.length + 1) * batch_size, samples)
        self.weighted = even and samples % self.length != 0
        self.start(0)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        chosen = self.order[self.bounds[index] : self.bounds[index + 1]]
        several = isinstance(self.inputs, dict)
        images = self._augmented((self.inputs[self.image_key] if several else self.inputs)[chosen], chosen)
        labels = self.labels[chosen]
        if self.layers:
            images, labels = self.layers.apply(images, labels, epoch=self.epoch, batch=index)
        inputs: Any = images
        if several:
            inputs = {key: images if key == self.image_key else values[chosen] for key, values in self.inputs.items()}
        if not self.weighted:
            return inputs, labels
        weight = len(chosen) * self.length / len(self.labels)
        return inputs, labels, np.full(len(chosen), weight, np.float32)

    def start(self, epoch: int) -> None:
        """Draw everything random about `epoch`, for all samples at once: a few milliseconds an epoch."""
        samples = len(self.labels)
        self.epoch = epoch
        self.order = np.random.default_rng([self.seed, epoch, 0]).permutation(samples)
        generator = np.random.default_rng([self.seed, epoch, 1])
        self.offsets = generator.integers(0, 2 * self.crop + 1, (samples, 2), dtype=np.int32) if self.crop else None
        self.flipped = flip_mask(self.flip, samples, seed=self.seed, epoch=epoch)

    def _augmented(self, images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        mirrored = self.flipped[chosen]
        offsets = np.zeros((len(chosen), 2), np.int32) if self.offsets is None else self.offsets[chosen]
        return random_crop(images, offsets, self.crop, mirrored if mirrored.any() else None)
