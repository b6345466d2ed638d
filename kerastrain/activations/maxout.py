"""The maximum of several linear functions."""

from typing import Any

import keras

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError


@keras.saving.register_keras_serializable(package="kerastrain")
def maxout(x: Any, pieces: int = 2) -> Any:
    """The maximum over each group of `pieces` features.

    `y_k = max(x_k, x_(k + u), ..., x_(k + (p - 1) u))` with p the `pieces` and `u = features / p`, on the last axis

    Behind a dense layer or convolution of `p * u` features it is a learned convex function of p pieces for each of u
    units. TensorFlow Addons' `Maxout(num_units)` is this with `pieces = features / num_units`, groups included; other
    libraries group neighboring features, which is a matter of the order of the weights in front.

    Args:
        x: a tensor `(..., features)`.
        pieces: features in a group, a whole number >= 1 that divides the features.

    Returns:
        A tensor `(..., features / pieces)`.

    Raises:
        InputError: `pieces` is out of its range or does not divide the features, or their number is not known.

    Example:

    >>> [float(y) for y in maxout(keras.ops.convert_to_tensor([[1.0, 3.0, -2.0, -5.0]]), pieces=2)[0]]
    [1.0, 3.0]

    Reference: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, 2013, Maxout networks, arXiv:1302.4389, section 2.
    """
    x = keras.ops.convert_to_tensor(x)
    units = checked_units(x.shape, whole_number("pieces", pieces))
    return keras.ops.max(keras.ops.reshape(x, (*keras.ops.shape(x)[:-1], pieces, units)), axis=-2)


def checked_units(shape: Any, pieces: int) -> int:
    """`features / pieces`, with the features the last of `shape`. Raises InputError where it is not whole."""
    features = shape[-1] if len(shape) else None
    if features is None:
        raise InputError(f"The last axis of the input must have a known length. Received: an input of shape {shape}.")
    if features % pieces:
        raise InputError(
            f"`pieces` must divide the {features} features of the input. Received: pieces={pieces}. Give the layer in "
            f"front {pieces} times as many features as there are to be."
        )
    return features // pieces
