"""The network of the CIFAR-10 speed records."""

from collections.abc import Sequence

import keras

from kerastrain._core.checks import number
from kerastrain._core.registry import PositiveFloat
from kerastrain.layers import SmallImageConv2D
from kerastrain.topologies.arguments import Widths, image_layers, image_shape, still_images, whole_numbers
from kerastrain.topologies.components import Activation, Dropout, Initializer, Normalization, Regularizer
from kerastrain.topologies.parts import Parts, through


def airbench(
    *,
    widths: Widths = (64, 256, 256),
    activation: Activation = "fused_gelu",
    initializer: Initializer = "dirac",
    normalization: Normalization = "fused_batch",
    dropout: Dropout = None,
    regularizer: Regularizer = None,
    logit_scale: PositiveFloat = 1 / 9,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    preprocessing: Sequence[keras.Layer] = (),
    seed: int | None = None,
    name: str = "airbench",
) -> keras.Model:
    """Two convolutions a stage, pooled early, starting as the identity: 94 % on CIFAR-10 in ten epochs (Jordan, 2024).

    A stage is convolution, 2x2 max pooling, normalization, activation, convolution, normalization, activation; behind
    the last one a max pooling over all that is left, and a dense layer without bias whose outputs are multiplied by
    `logit_scale`. Behind `preprocess: {type: patch_whitening, padding: valid}`, which is made for it, an activation
    comes first: 1.97M weights then. The recipe `cifar_speedrun` has the training that belongs to it.

    Args:
        widths: channels of each stage.
        activation: a name of `ACTIVATIONS`, a mapping, a function of a tensor, or None for the identity.
        initializer: of every kernel; a name of `INITIALIZERS`, a mapping or a Keras initializer.
        normalization: a name of `NORMALIZATIONS`, a mapping, or None.
        dropout: in front of the head; a rate in [0, 1), a name of `DROPOUTS` in a mapping, or None.
        regularizer: of every kernel; an L2 rate, a name of `REGULARIZERS`, a mapping, a Keras regularizer or None.
        logit_scale: what the logits are multiplied by, a number > 0: they start small, and move slowly.
        input_shape: `(height, width, channels)`.
        classes: number of classes, at least 2.
        preprocessing: layers applied to the raw image in the model.
        seed: makes initial weights and dropout reproducible; None draws new ones each time.
        name: the model's name.

    Input shape: `(batch, height, width, channels)`, uint8 or float. Output shape: `(batch, classes)`, float32.

    Raises:
        InputError: an argument is outside its range, its name is unknown, or the image is too small for the stages.

    Example:

    >>> airbench(widths=[8, 16], input_shape=(8, 8, 3)).output_shape
    (None, 10)

    Reference: Jordan, 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498, section 3; its first
    layer has a bias, trained for three epochs, which this one has not.
    """
    parts = Parts(activation, initializer, normalization, dropout, regularizer, seed, SmallImageConv2D)
    widths = whole_numbers("widths", widths)
    scale = number("logit_scale", logit_scale, above=0)
    shape = image_shape(input_shape, divisions=len(widths))
    inputs, raw_layers = image_layers(shape, preprocessing)
    x = still_images(through(inputs, raw_layers))
    if x.shape[-1] != shape[-1]:  # Filters were applied, whose outputs are the first features.
        x = through(x, parts.spatial_activation("stem_activation"))
    for stage, width in enumerate(widths, start=1):
        x = _stage(x, parts, width, f"stage{stage}")
    x = keras.layers.GlobalMaxPooling2D(name="global_pooling")(x)
    x = through(x, parts.flat_dropout("head_dropout"))
    x = keras.layers.Dense(classes, use_bias=False, name="head", **parts.kernel("head", hidden=False))(x)
    x = keras.layers.Rescaling(scale, dtype="float32", name="logit_scale")(x)
    return keras.Model(inputs, keras.layers.Activation("softmax", dtype="float32", name="probabilities")(x), name=name)


def _stage(x: keras.KerasTensor, parts: Parts, width: int, name: str) -> keras.KerasTensor:
    convolution, *normalization = parts.convolution(width, name, 1)
    x = keras.layers.MaxPooling2D(name=f"{name}_pooling")(convolution(x))
    x = through(x, [*normalization, *parts.spatial_activation(f"{name}_activation1")])
    return through(x, [*parts.convolution(width, name, 2), *parts.spatial_activation(f"{name}_activation2")])
