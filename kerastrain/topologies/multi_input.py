"""A network with two inputs."""

from collections.abc import Sequence

import keras

from kerastrain._core.checks import whole_number
from kerastrain._core.registry import PositiveInt
from kerastrain.topologies.arguments import Widths
from kerastrain.topologies.components import Activation, Dropout, Initializer, Normalization, Regularizer
from kerastrain.topologies.convolutional_stages import image_features
from kerastrain.topologies.parts import Parts, through


def multi_input(
    *,
    widths: Widths = (32, 64, 128),
    blocks: PositiveInt = 2,
    histogram_units: PositiveInt = 32,
    joint_units: PositiveInt = 64,
    activation: Activation = "relu",
    initializer: Initializer = "he_normal",
    normalization: Normalization = "batch",
    dropout: Dropout = None,
    regularizer: Regularizer = None,
    input_shape: Sequence[int] = (32, 32, 3),
    histogram_size: int = 48,
    classes: int = 10,
    preprocessing: Sequence[keras.Layer] = (),
    seed: int | None = None,
    name: str = "multi_input",
) -> keras.Model:
    """`convnet` on the image and a dense layer on its color histogram; a dense layer on both decides.

    Args:
        widths: channels of each convolutional stage.
        blocks: convolutions in each stage, at least 1.
        histogram_units: units of the dense layer on the histogram, at least 1.
        joint_units: units of the dense layer on both, at least 1.
        activation: a name of `ACTIVATIONS`, a mapping, a function of a tensor, or None for the identity.
        initializer: of every kernel; a name of `INITIALIZERS`, a mapping or a Keras initializer.
        normalization: a name of `NORMALIZATIONS`, a mapping, or None.
        dropout: behind the last convolutional stage; the dense layers have none.
        regularizer: of every kernel; an L2 rate, a name of `REGULARIZERS`, a mapping, a Keras regularizer or None.
        input_shape: `(height, width, channels)` of the image.
        histogram_size: length of the histogram: channels times bins.
        classes: number of classes, at least 2.
        preprocessing: layers applied to the raw image in the model; the histogram is taken as it comes.
        seed: makes initial weights and dropout reproducible; None draws new ones each time.
        name: the model's name.

    Input shape: `{"image": (batch, height, width, channels), "histogram": (batch, histogram_size)}`. Output shape:
    `(batch, classes)`, float32 probabilities.

    Raises:
        InputError: an argument is outside its range or its name is unknown.

    Example:

    >>> sorted(multi_input(widths=[4], input_shape=(8, 8, 3), histogram_size=12).input)
    ['histogram', 'image']

    Reference: Varma, lecture 7, "Multi-Input Models".
    """
    whole_number("histogram_units", histogram_units)
    whole_number("joint_units", joint_units)
    parts = Parts(activation, initializer, normalization, dropout, regularizer, seed)
    dense = Parts(activation, initializer, normalization, None, regularizer, seed)
    image, image_branch = image_features(input_shape, preprocessing, parts, widths=widths, blocks=blocks)
    histogram = keras.Input((whole_number("histogram_size", histogram_size),), dtype="float32", name="histogram")
    histogram_branch = through(histogram, dense.dense(histogram_units, "histogram"))
    x = keras.layers.Concatenate(name="joint_concatenation")([image_branch, histogram_branch])
    x = through(x, dense.dense(joint_units, "joint"))
    return keras.Model({"image": image, "histogram": histogram}, through(x, parts.head(classes)), name=name)
