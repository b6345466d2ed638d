"""A network that answers yes or no for each class."""

from collections.abc import Sequence

import keras

from kerastrain._core.registry import PositiveInt
from kerastrain.topologies.arguments import Widths
from kerastrain.topologies.components import Activation, Dropout, Initializer, Normalization, Regularizer
from kerastrain.topologies.convolutional_stages import image_features
from kerastrain.topologies.parts import Parts, through


def multi_label(
    *,
    widths: Widths = (32, 64, 128),
    blocks: PositiveInt = 2,
    activation: Activation = "relu",
    initializer: Initializer = "he_normal",
    normalization: Normalization = "batch",
    dropout: Dropout = None,
    regularizer: Regularizer = None,
    input_shape: Sequence[int] = (32, 64, 3),
    classes: int = 10,
    preprocessing: Sequence[keras.Layer] = (),
    seed: int | None = None,
    name: str = "multi_label",
) -> keras.Model:
    """`convnet` with one sigmoid per class, for images that show several objects, such as two images side by side.

    The outputs are independent, so they do not sum to 1; train with `binary_crossentropy` on multi-hot labels.

    Args:
        widths: channels of each stage; max pooling halves height and width between stages.
        blocks: convolutions in each stage, at least 1.
        activation: a name of `ACTIVATIONS`, a mapping, a function of a tensor, or None for the identity.
        initializer: of every kernel; a name of `INITIALIZERS`, a mapping or a Keras initializer.
        normalization: a name of `NORMALIZATIONS`, a mapping, or None.
        dropout: behind the last stage; a rate in [0, 1), a name of `DROPOUTS` in a mapping, or None.
        regularizer: of every kernel; an L2 rate, a name of `REGULARIZERS`, a mapping, a Keras regularizer or None.
        input_shape: `(height, width, channels)` of the whole, both images together.
        classes: number of classes, at least 1.
        preprocessing: layers applied to the raw image in the model, such as `keras.layers.Rescaling(1 / 255)`.
        seed: makes initial weights and dropout reproducible; None draws new ones each time.
        name: the model's name.

    Input shape: `(batch, height, width, channels)`, uint8 or float. Output shape: `(batch, classes)`, float32.

    Raises:
        InputError: an argument is outside its range, its name is unknown, or the image is too small for the stages.

    Example:

    >>> multi_label(widths=[8, 16], input_shape=(8, 16, 3)).output_shape
    (None, 10)

    Reference: Varma, lecture 7, "Multi-Label Classification".
    """
    parts = Parts(activation, initializer, normalization, dropout, regularizer, seed)
    inputs, x = image_features(input_shape, preprocessing, parts, widths=widths, blocks=blocks)
    return keras.Model(inputs, through(x, parts.head(classes, "sigmoid")), name=name)
