"""The order of the training samples, and their augmentation, as functions of (seed, epoch, position)."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from kerastrain._core import accelerator, keras_training
from kerastrain._core.checks import boolean, choice, whole_number
from kerastrain._core.described import sha256_of
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeInt, PositiveInt
from kerastrain.datasets import shares
from kerastrain.datasets.device_images import DeviceImages
from kerastrain.datasets.epoch_batches import EpochBatches
from kerastrain.datasets.resolutions import checked_resolutions, resized, size_in
from kerastrain.preprocessing import flip_mask, random_crop


class Augmentation(Protocol):
    """What `Batches` may put behind crop and flip: a function of the batch, the epoch and the batch's number."""

    def apply(self, images: np.ndarray, labels: np.ndarray, *, epoch: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Augmented images and their labels."""
        ...

    def identity(self) -> Any:
        """Plain data that two equal augmentations share."""
        ...


class Batches(EpochBatches):
    """Training batches out of arrays in memory, in an order that depends on nothing but the seed and the epoch.

    `fit(shuffle=True)` takes its order from global state (and after `set_random_seed` repeats one permutation every
    epoch on TensorFlow). Here epoch e always sees the permutation of (seed, e); an image's crop and flip are functions
    of (seed, e, image), the further `augmentation` of (seed, e, batch). So any batch can be made again at any time, and
    a resumed training goes on within an epoch without going through it again.

    In `fit` its epochs are those of `fit`. `start` sets epoch and position by hand, and
    `kerastrain.callbacks.ResumableCheckpoint(folder, batches)` calls it to go on within an epoch. Fit with
    `shuffle=False`, else Keras permutes the batches from Python's global random state; without `steps_per_epoch`.

    Args:
        inputs: array `(samples, ...)`, or a dictionary of such arrays. With crop or flip, images `(samples, height,
            width, channels)`, best uint8.
        labels: array `(samples, ...)`.
        batch_size: samples in a batch; the last one of an epoch may be smaller.
        seed: of the order and the augmentation.
        crop: pixels of reflected padding to crop from at random, fewer than the images have in height and width; 0
            switches it off.
        flip: `none`, `random` or `alternating`, see `kerastrain.preprocessing.flip_mask`.
        augmentation: what comes after crop and flip, for a batch at a time, see `Augmentation`; None for nothing.
        image_key: in a dictionary of inputs, the one to augment.
        resolutions: pairs `(side, epochs)`: in the first so many epochs images are resized so that their shorter side
            has `side` pixels, in the next as the second pair says, and behind the last one as they are. A convolution's
            work goes with the area. The model must take images of any size: end its convolutions in a global pooling,
            and make it of `keras.Input((None, None, channels))`, or set
            `model.input_spec = keras.layers.InputSpec(shape=(None, None, None, channels))`. Empty (default) for none.
        even: split the epoch into batches whose sizes differ by at most one, and weigh their samples so that the mean
            of the batches' gradients is the gradient of the whole set, exactly (for full-batch learning).
        share: the part of each batch that this process trains on, `(number, count)`, numbers from 0. None (default) for
            what `keras.distribution` says: where several processes train together, all are given the same arrays, and
            each takes its rows of every batch of `batch_size`. `(0, 1)` where the arrays are this process's own.

    Raises:
        InputError: an argument out of range, no samples, or unlike numbers of them.

    Example:

    >>> batches = Batches(np.arange(10.0)[:, None], np.arange(10), batch_size=4, seed=0)
    >>> batches.start(epoch=3, step=1)  # the second and third batch of the fourth epoch
    >>> len(batches), [len(labels) for inputs, labels in (batches[0], batches[1])]
    (2, [4, 2])
    """

    def __init__(
        self,
        inputs: Any,
        labels: np.ndarray,
        batch_size: PositiveInt,
        *,
        seed: NonNegativeInt,
        crop: NonNegativeInt = 0,
        flip: str = "none",
        augmentation: Augmentation | None = None,
        image_key: str = "image",
        resolutions: Sequence[tuple[int, int]] = (),
        even: bool = False,
        share: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(workers=1)
        self.inputs, self.labels, self.augmentation, self.image_key = inputs, labels, augmentation, image_key
        self.batch_size = whole_number("batch_size", batch_size)
        self.seed = whole_number("seed", seed, minimum=0)
        self.crop = whole_number("crop", crop, minimum=0)
        self.flip = choice("flip", flip, ("none", "random", "alternating"))
        self.even = boolean("even", even)
        self.share = shares.checked_share(share)
        samples = len(labels)
        counts = {key: len(values) for key, values in inputs.items()} if self._several else {"inputs": len(inputs)}
        if samples == 0 or any(count != samples for count in counts.values()):
            raise InputError(f"`inputs` and `labels` must have as many samples. Received: {counts}, labels: {samples}.")
        images = inputs.get(image_key) if self._several else inputs
        if (self.crop or self.flip != "none") and (images is None or images.ndim != 4):
            raise InputError(
                "`crop` and `flip` are for images (samples, height, width, channels). Received: "
                + ("nothing called " + repr(image_key) if images is None else f"shape {images.shape}")
                + "."
            )
        if self.crop and self.crop >= min(images.shape[1:3]):
            raise InputError(
                f"`crop` must be less than the height and the width of the images, {images.shape[1]} and "
                f"{images.shape[2]}. Received: crop={self.crop}."
            )
        self.resolutions = checked_resolutions(resolutions, images)
        if even:
            self.bounds = np.linspace(0, samples, self.length + 1).round().astype(int)
        else:
            self.bounds = np.minimum(np.arange(self.length + 1) * self.batch_size, samples)
        self._on_device: Any = None
        self._as_places = False
        self.weighted = even and samples % self.length != 0
        self.start(0)

    @property
    def length(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        index += self.step
        chosen = self.order[self.bounds[index] : self.bounds[index + 1]]
        weight = len(chosen) * self.length / len(self.labels)
        own = shares.part_of(chosen, self.part)
        if self._as_places:
            places = DeviceImages.places(own, None if self.offsets is None else self.offsets[own], self.flipped[own])
            return self._with_weights(places, self.labels[own], weight)
        # What mixes the samples of a batch needs all of them.
        made = own if self.augmentation is None else chosen
        images: Any = self._augmented(self._images[made], made) if self._images is not None else None
        labels = self.labels[made]
        if self.augmentation is not None:
            mixed = self.augmentation.apply(images, labels, epoch=self.epoch, batch=index)
            images, labels = shares.part_of(mixed, self.part)
        if self.resolutions:
            images = resized(images, self._size(index))
        return self._with_weights(self._with_images(images, own), labels, weight)

    def on_device(self) -> tuple[Any, DeviceImages] | None:
        """The images in the memory of the backend's device, and how batches are made of them there.

        None where a batch is made of more than they (several inputs, or an `augmentation`), and where they would take
        more than a quarter of the memory.
        """
        if self._several or self.augmentation is not None or self._images.ndim != 4:
            return None
        if self._on_device is None:
            limit = accelerator.memory_bytes()
            if limit is not None and self._images.nbytes > limit // 4:
                return None
            self._on_device = keras.ops.convert_to_tensor(self._images)
        height, width = self._images.shape[1:3]
        return self._on_device, DeviceImages(self.crop, (height, width), self._size(0))

    @contextlib.contextmanager
    def as_places(self) -> Iterator[None]:
        """Within it the inputs of a batch are the places that `on_device` makes its images of."""
        self._as_places = True
        try:
            yield
        finally:
            self._as_places = False

    def sizes(self) -> list[int]:
        return [int(size) for size in np.diff(self.bounds)]

    def sizes_of_images(self) -> list[tuple[int, int]]:
        """Height and width of the images in each stage of `resolutions`, and behind them."""
        height, width = self._images.shape[1:3]
        ends = itertools.accumulate((epochs for _, epochs in self.resolutions), initial=0)
        return [size_in(epoch, self.resolutions, (height, width)) for epoch in ends]

    def rest_of_epoch(self) -> tuple[Any, np.ndarray] | None:
        """Inputs and labels of the batches from here to the end of the epoch, in one piece; None where more than
        `batch_size` decides about a batch: `augmentation`, `even`, a share, or `resolutions`."""
        if self.augmentation is not None or self.even or self.part != shares.WHOLE or self.resolutions:
            return None
        chosen = self.order[self.bounds[self.step] :]
        images: Any = self._augmented(self._images[chosen], chosen) if self._images is not None else None
        return self._with_images(images, chosen), self.labels[chosen]

    def _draw(self, epoch: int) -> None:
        samples = len(self.labels)
        self.order = np.random.default_rng([self.seed, epoch, 0]).permutation(samples)
        generator = np.random.default_rng([self.seed, epoch, 1])
        self.offsets = generator.integers(0, 2 * self.crop + 1, (samples, 2), dtype=np.int32) if self.crop else None
        self.flipped = flip_mask(self.flip, samples, seed=self.seed, epoch=epoch)

    def identity(self) -> dict[str, Any]:
        """Plain data that two equal data orders share, with a sha256 of all samples and labels."""
        parts = self.inputs if self._several else {"inputs": self.inputs}
        return {
            "samples": len(self.labels),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "crop": self.crop,
            "flip": self.flip,
            "resolutions": [list(stage) for stage in self.resolutions],
            "even": self.even,
            "augmentation": self.augmentation.identity() if self.augmentation is not None else None,
            "sha256": {key: sha256_of(values) for key, values in {**parts, "labels": self.labels}.items()},
        }

    def _size(self, index: int) -> tuple[int, int]:
        height, width = self._images.shape[1:3]
        if not keras_training.is_described():
            return size_in(self.epoch, self.resolutions, (height, width))
        # TensorFlow's pipeline wants to know the shapes: Keras looks at two batches, and where they differ, all may.
        if len(self) == 1:
            raise InputError(
                "`resolutions` need at least two batches in an epoch on TensorFlow. "
                f"Received: {len(self.labels)} samples in batches of {self.batch_size}. Use a smaller batch_size."
            )
        return size_in(0, self.resolutions, (height, width)) if index == self.step else (height, width)

    def _with_weights(self, inputs: Any, labels: np.ndarray, weight: float) -> tuple[Any, ...]:
        if not self.weighted:
            return inputs, labels
        return inputs, labels, np.full(len(labels), weight, np.float32)

    @property
    def _several(self) -> bool:
        return isinstance(self.inputs, dict)

    @property
    def _images(self) -> Any:
        return self.inputs.get(self.image_key) if self._several else self.inputs

    def _with_images(self, images: Any, chosen: np.ndarray) -> Any:
        if not self._several:
            return images
        return {key: images if key == self.image_key else values[chosen] for key, values in self.inputs.items()}

    def _augmented(self, images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        if self.offsets is None and self.flip == "none":
            return images
        mirrored = self.flipped[chosen]
        offsets = np.zeros((len(chosen), 2), np.int32) if self.offsets is None else self.offsets[chosen]
        return random_crop(images, offsets, self.crop, mirrored if mirrored.any() else None)
