"""The names that a recipe's `data.augment.layers` knows: Keras's augmentation layers, made to repeat themselves."""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import numpy as np
from annotated_types import Ge, Gt, Le

from kerastrain._core.errors import InputError
from kerastrain._core.registry import FiniteFloat, Fraction, PositiveFloat, PositiveInt, Registry, UnitInterval

AUGMENTATIONS = Registry("augmentation")

MIXING = ("mix_up", "cut_mix")
"""The names that mix the labels of two images too."""

_SIZE = ("image_size",)
_Pixel = Annotated[FiniteFloat, Ge(0), Le(255)]


def _mix_up(alpha: PositiveFloat = 0.2, *, image_size: tuple[int, int]) -> keras.Layer:
    return keras.layers.MixUp(alpha, dtype="float32")


def _cut_mix(alpha: Annotated[float, Gt(0), Le(1)] = 1.0, *, image_size: tuple[int, int]) -> keras.Layer:
    # A single number would be the upper end of a range that Keras draws alpha from.
    return keras.layers.CutMix((alpha, alpha), dtype="float32")


def _cutout(size: PositiveInt = 8, fill_value: _Pixel = 128.0, *, image_size: tuple[int, int]) -> keras.Layer:
    if image_size[0] != image_size[1] or size >= image_size[0]:
        raise InputError(
            f"`cutout` needs square images and a `size` below their side. Received: size={size}, images {image_size}."
        )
    area = (size / image_size[0]) ** 2
    # A single number would be the upper end of a range of probabilities.
    return keras.layers.RandomErasing((1.0, 1.0), scale=(area, area), fill_value=fill_value, dtype="float32")


def _random_erasing(
    probability: UnitInterval = 0.5,
    min_area: UnitInterval = 0.02,
    max_area: UnitInterval = 0.33,
    fill_value: _Pixel = 128.0,
    *,
    image_size: tuple[int, int],
) -> keras.Layer:
    if min_area > max_area:
        raise InputError(f"`min_area` must be at most `max_area`. Received: {min_area} and {max_area}.")
    return keras.layers.RandomErasing(
        (probability, probability), scale=(min_area, max_area), fill_value=fill_value, dtype="float32"
    )


def _random_color_jitter(
    brightness: UnitInterval = 0.2,
    contrast: Fraction = 0.2,
    saturation: Fraction = 0.2,
    hue: UnitInterval = 0.0,
    *,
    image_size: tuple[int, int],
) -> keras.Layer:
    # Keras multiplies the saturation by f / (1 - f): by 1 at 0.5, and here by (1 - s) / (1 + s) to (1 + s) / (1 - s).
    return keras.layers.RandomColorJitter(
        (0, 255),
        brightness_factor=brightness or None,
        contrast_factor=contrast or None,
        saturation_factor=((1 - saturation) / 2, (1 + saturation) / 2) if saturation else None,
        hue_factor=hue or None,
        dtype="float32",
    )


AUGMENTATIONS.add("mix_up", _mix_up, "Blend pairs of images and their labels (Zhang et al. 2018).", skip=_SIZE)
AUGMENTATIONS.add("cut_mix", _cut_mix, "Paste a box of another image, labels by area (Yun et al. 2019).", skip=_SIZE)
AUGMENTATIONS.add("cutout", _cutout, "Erase a square of each image (DeVries and Taylor 2017).", skip=_SIZE)
AUGMENTATIONS.add("random_erasing", _random_erasing, "Erase a box of some images (Zhong et al. 2017).", skip=_SIZE)
AUGMENTATIONS.add(
    "random_color_jitter", _random_color_jitter, "Brightness, contrast, saturation and hue at random.", skip=_SIZE
)


def mixes_labels(section: Sequence[dict[str, Any]]) -> bool:
    """Whether a validated `data.augment.layers` has a layer that mixes labels, so that they must be one-hot."""
    return any(item["type"] in MIXING for item in section)


class AugmentationLayers:
    """Keras's augmentation layers, one after the other, as functions of (seed, epoch, batch).

    Their random generators are set before each batch, so a batch can be made again at any time.

    Args:
        section: a validated `data.augment.layers`.
        image_size: height and width.
        seed: of everything random here.
    """

    def __init__(self, section: Sequence[dict[str, Any]], image_size: tuple[int, int], seed: int) -> None:
        self.layers = [AUGMENTATIONS.create(item, image_size=image_size) for item in section]
        self.section = list(section)
        self.mixing = mixes_labels(section)
        self.seed = seed

    def identity(self) -> Any:
        """What the layers are."""
        return self.section

    def apply(self, images: np.ndarray, labels: np.ndarray, *, epoch: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Augmented uint8 images, and their labels, which change only where they are mixed."""
        data: dict[str, Any] = {"images": images.astype(np.float32)}
        if self.mixing:
            data["labels"] = labels.astype(np.float32)
        for number, layer in enumerate(self.layers):
            random = np.random.SeedSequence([self.seed, epoch, batch, 5, number])
            # All that these layers have for variables is the state of random generators.
            for variable, child in zip(layer.variables, random.spawn(len(layer.variables)), strict=True):
                variable.assign(child.generate_state(2, np.uint32))
            data = layer(data, training=True)
        pixels = keras.ops.convert_to_numpy(data["images"])
        # Of one dtype with the images that are not augmented, so that nothing is traced twice.
        images = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        return images, keras.ops.convert_to_numpy(data["labels"]) if self.mixing else labels
