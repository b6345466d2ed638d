"""Checks of the arguments that topologies share, before any layer is made."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import keras
from pydantic import BeforeValidator, Field

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import PositiveInt

if TYPE_CHECKING:
    Widths = Sequence[int]
else:
    Widths = Annotated[
        list[PositiveInt],
        # A default is a tuple, which strict validation would not take for a list.
        BeforeValidator(lambda value: list(value) if isinstance(value, tuple) else value),
        Field(min_length=1, validate_default=True),
    ]


def whole_numbers(name: str, values: Any) -> list[int]:
    """`values` as a list, when it is a non-empty sequence of ints >= 1. Raises InputError otherwise."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise InputError(f"`{name}` must be a list of at least one whole number. Received: {name}={values!r}.")
    return [whole_number(f"{name}[{index}]", value) for index, value in enumerate(values)]


def image_shape(input_shape: Any, *, divisions: int = 0, rank: int | None = 3) -> tuple[int, ...]:
    """`input_shape` as a tuple of `rank` sizes, each side at least `2 ** divisions`. Raises InputError otherwise.

    Args:
        input_shape: `(height, width, channels)`, or any shape when `rank` is None.
        divisions: how often the network halves height and width.
        rank: the number of axes expected.
    """
    shape = tuple(whole_numbers("input_shape", input_shape))
    if rank is not None and len(shape) != rank:
        raise InputError(f"`input_shape` must be (height, width, channels). Received: input_shape={shape}.")
    if divisions and min(shape[:2]) < 2**divisions:
        raise InputError(
            f"`input_shape`: this network halves the image {divisions} times, so height and width must be at least "
            f"{2**divisions}. Received: input_shape={shape}. Use larger images or fewer stages."
        )
    return shape


def still_images(x: keras.KerasTensor) -> keras.KerasTensor:
    """`x`, when it is a stack of images after the preprocessing layers. Raises InputError otherwise."""
    if len(x.shape) != 4:
        raise InputError(
            "`preprocessing` must leave images (batch, height, width, channels) to a network of convolutions. "
            f"Received: shape {tuple(x.shape)}. Use `zca_whitening` in place of `pca_whitening`."
        )
    return x


def image_layers(input_shape: tuple[int, ...], preprocessing: Any) -> tuple[keras.KerasTensor, list[keras.Layer]]:
    """The model's input `image`, and the layers of `preprocessing`, checked, for one model to apply to it in order.

    The input is float32: Keras moves an array of uint8 to the device as it is and casts it in the graph, so the host
    keeps bytes, and values between two integers (augmented images) are not truncated as a uint8 input would.
    """
    if isinstance(preprocessing, keras.Layer | str) or not isinstance(preprocessing, Sequence):
        raise InputError(f"`preprocessing` must be a list of Keras layers. Received: {preprocessing!r}.")
    for index, layer in enumerate(preprocessing):
        if not isinstance(layer, keras.Layer):
            raise InputError(f"`preprocessing[{index}]` must be a Keras layer. Received: {layer!r}.")
    return keras.Input(input_shape, dtype="float32", name="image"), list(preprocessing)
