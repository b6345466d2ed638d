"""Maxout as a layer."""

from typing import Any

import keras

from kerastrain import activations
from kerastrain._core.checks import whole_number
from kerastrain._core.registry import PositiveInt
from kerastrain.activations.maxout import checked_units


@keras.saving.register_keras_serializable(package="kerastrain")
class Maxout(keras.layers.Layer):
    """The maximum over each group of features: a learned activation behind a wider layer.

    `y_k = max(x_k, x_(k + u), ..., x_(k + (p - 1) u))` with p the `pieces` and `u = features / p`, on the last axis

    Behind `Dense(p * units)` or `Conv2D(p * filters, ...)`. It saturates nowhere and no unit can die, at p times the
    weights. Keras has nothing of the kind; TensorFlow Addons had `Maxout(num_units)`, with `pieces = features /
    num_units` and the same groups.

    Args:
        pieces: features in a group, a whole number >= 1 that divides the features.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor `(batch, ..., features)`.

    Output shape: `(batch, ..., features / pieces)`.

    State: none.

    Raises:
        InputError: `pieces` is out of its range or does not divide the features, or their number is not known.

    Example:

    >>> [float(y) for y in Maxout(2)(keras.ops.convert_to_tensor([[1.0, 3.0, -2.0, -5.0]]))[0]]
    [1.0, 3.0]

    Reference: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, 2013, Maxout networks, arXiv:1302.4389, section 2.
    """

    def __init__(self, pieces: PositiveInt = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pieces = whole_number("pieces", pieces)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        checked_units(input_shape, self.pieces)
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        return activations.maxout(inputs, self.pieces)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return (*input_shape[:-1], checked_units(input_shape, self.pieces))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pieces": self.pieces}
