"""A model's mean answer to several views of an image."""

import types
from typing import Any

import keras

from kerastrain._core.checks import boolean, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeInt


@keras.saving.register_keras_serializable(package="kerastrain")
class TestTimeAugmentation(keras.Model):
    """Any image classifier, asked about several views of each image: a model whose answer is their weighted mean.

    `y = 1/2 mean(f(x), f(mirror x)) + 1/2 mean over the two shifts s of mean(f(s x), f(mirror s x))`

    with the shifts by `shift` pixels up and left, and down and right, the border filled by reflection. Without mirror
    or without shift what is left is averaged the same way: 6 views, 2, 3 or 1. On CIFAR-10 it is worth about 0.8 points
    to the speed records at 6 times the cost of a prediction; a stated accuracy says whether it is used. It averages
    what the model gives, probabilities or logits. In training it is the model itself. Keras has nothing of the kind.

    Args:
        model: takes one tensor `(batch, height, width, channels)`.
        mirror: whether views are mirrored left to right.
        shift: pixels of the diagonal shifts, a whole number >= 0; 0 for none.
        **kwargs: what `keras.Model` takes.

    Call arguments:
        inputs: a tensor `(batch, height, width, channels)`.
        training: if true, the model's own answer to the images as they are.

    Output shape: that of the model.

    Raises:
        InputError: `model` is none, takes something else or has several outputs, or a number is out of its range.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    >>> augmented = TestTimeAugmentation(model)
    >>> augmented.predict(np.zeros((3, 4, 4, 1)), verbose=0).shape
    (3, 2)

    Reference: Jordan, 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498, section 3.5 (multi-crop
    evaluation), its six views and weights.
    """

    # Not a test, whatever its name begins with.
    __test__ = False

    def __init__(self, model: keras.Model, mirror: bool = True, shift: NonNegativeInt = 1, **kwargs: Any) -> None:
        if not isinstance(model, keras.Model):
            raise InputError(f"`model` must be a keras.Model. Received: {model!r}.")
        # A subclassed model does not say what it takes and gives.
        shape = getattr(model, "input_shape", (None, None, None, None))
        if not _one_tensor(model, "input") or len(shape) != 4:
            raise InputError(f"`model` must take images (batch, height, width, channels). Its inputs are: {shape}.")
        if not _one_tensor(model, "output"):
            raise InputError(f"`model` must have one output, a tensor. Its outputs are: {model.output}.")
        super().__init__(**kwargs)
        self.autocast = False  # The model casts its inputs itself.
        self.model = model
        self.mirror = boolean("mirror", mirror)
        self.shift = whole_number("shift", shift, minimum=0)
        self._check_room(shape)
        if model.built:
            self.build(shape)

    def _check_room(self, shape: Any) -> None:
        side = min((length for length in shape[1:3] if length is not None), default=self.shift + 1)
        if self.shift >= side:
            raise InputError(f"`shift` must be below {side}, the image. Received: shift={self.shift}.")

    def build(self, input_shape: Any) -> None:
        if not self.model.built:
            self.model(keras.KerasTensor(input_shape))  # Which builds subclassed models too.
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            return self.model(inputs, training=True)
        straight = self._both_sides(inputs)
        if self.shift == 0:
            return straight
        self._check_room(inputs.shape)  # The model may take images of any size.
        padding = ((0, 0), (self.shift, self.shift), (self.shift, self.shift), (0, 0))
        padded = keras.ops.pad(inputs, padding, mode="reflect")
        far = 2 * self.shift
        shifted = [padded[:, :-far, :-far], padded[:, far:, far:]]
        return 0.5 * straight + 0.25 * (self._both_sides(shifted[0]) + self._both_sides(shifted[1]))

    def _both_sides(self, inputs: Any) -> Any:
        outputs = self.model(inputs, training=False)
        if not self.mirror:
            return outputs
        return 0.5 * (outputs + self.model(keras.ops.flip(inputs, axis=2), training=False))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.model.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "mirror": self.mirror,
            "shift": self.shift,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "TestTimeAugmentation":
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects)
        return cls(**{**config, "model": model})


def _one_tensor(model: keras.Model, place: str) -> bool:
    return isinstance(getattr(model, place, None), keras.KerasTensor | types.NoneType)
