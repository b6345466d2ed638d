"""A compact convolutional network."""

from collections.abc import Sequence

import keras

from kerastrain._core.registry import PositiveInt
from kerastrain.topologies.arguments import Widths
from kerastrain.topologies.components import Activation, Dropout, Initializer, Normalization, Regularizer
from kerastrain.topologies.convolutional_stages import image_features
from kerastrain.topologies.parts import Parts, through


def convnet(
    *,
    widths: Widths = (32, 64, 128),
    blocks: PositiveInt = 2,
    activation: Activation = "relu",
    initializer: Initializer = "he_normal",
    normalization: Normalization = "batch",
    dropout: Dropout = None,
    regularizer: Regularizer = None,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    preprocessing: Sequence[keras.Layer] = (),
    seed: int | None = None,
    name: str = "convnet",
) -> keras.Model:
    """Stages of 3x3 convolutions, pooling between them, global average pooling, softmax: 0.29M weights by default.

    A stage is `blocks` times convolution, normalization, activation; dropout comes once, behind the last stage. The
    form is VGG's (Simonyan and Zisserman, 2014, arXiv 1409.1556) with batch normalization, and with global average
    pooling (Lin et al., 2013, arXiv 1312.4400) instead of wide dense layers.

    Args:
        widths: channels of each stage; max pooling halves height and width between stages.
        blocks: convolutions in each stage, at least 1.
        activation: a name of `ACTIVATIONS`, a mapping, a function of a tensor, or None for the identity.
        initializer: of every kernel; a name of `INITIALIZERS`, a mapping or a Keras initializer.
        normalization: a name of `NORMALIZATIONS`, a mapping, or None.
        dropout: behind the last stage; a rate in [0, 1), a name of `DROPOUTS` in a mapping, or None.
        regularizer: of every kernel; an L2 rate, a name of `REGULARIZERS`, a mapping, a Keras regularizer or None.
        input_shape: `(height, width, channels)`.
        classes: number of classes, at least 2.
        preprocessing: layers applied to the raw image in the model, such as `keras.layers.Rescaling(1 / 255)`.
        seed: makes initial weights and dropout reproducible; None draws new ones each time.
        name: the model's name.

    Input shape: `(batch, height, width, channels)`, uint8 or float. Output shape: `(batch, classes)`, float32.

    Raises:
        InputError: an argument is outside its range, its name is unknown, or the image is too small for the stages.

    Example:

    >>> convnet(widths=[8, 16], blocks=1, input_shape=(8, 8, 3)).output_shape
    (None, 10)
    """
    parts = Parts(activation, initializer, normalization, dropout, regularizer, seed)
    inputs, x = image_features(input_shape, preprocessing, parts, widths=widths, blocks=blocks)
    return keras.Model(inputs, through(x, parts.head(classes)), name=name)
