"""A multilayer perceptron by Keras's Sequential API."""

from collections.abc import Sequence

import keras

from kerastrain.topologies.arguments import image_layers, image_shape
from kerastrain.topologies.components import Activation, Dropout, Initializer, Normalization, Regularizer
from kerastrain.topologies.dense_layers import DenseLayers, hidden_layers
from kerastrain.topologies.parts import Parts


def mlp_sequential(
    *,
    layers: DenseLayers = (20, 15),
    activation: Activation = "relu",
    initializer: Initializer = "glorot_uniform",
    normalization: Normalization = None,
    dropout: Dropout = None,
    regularizer: Regularizer = None,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    preprocessing: Sequence[keras.Layer] = (),
    seed: int | None = None,
    name: str = "mlp_sequential",
) -> keras.Sequential:
    """A stack of dense layers behind a flattened image: the course's first network, 3072-20-15-10 by default.

    A layer computes `dropout(activation(normalization(W h + b)))`, the output `softmax(W h + b)`. A baseline: it sees
    pixels without their neighborhood, so use a convolutional network for accuracy.

    Args:
        layers: one item a hidden layer: the number of units, or a mapping with `units` and any of `activation`,
            `initializer`, `normalization`, `dropout` and `regularizer`, which override the common ones in that layer.
        activation: a name of `ACTIVATIONS`, a mapping, a function of a tensor, or None for the identity.
        initializer: of every kernel; a name of `INITIALIZERS`, a mapping or a Keras initializer. The default is
            Keras's own, so that the network is the course's; `he_normal` suits deep ReLU networks better.
        normalization: a name of `NORMALIZATIONS`, a mapping, or None.
        dropout: a rate in [0, 1), a name of `DROPOUTS` in a mapping, or None.
        regularizer: of every kernel; an L2 rate, a name of `REGULARIZERS`, a mapping, a Keras regularizer or None.
        input_shape: of one sample, flattened inside the model.
        classes: number of classes, at least 2.
        preprocessing: layers applied to the raw image in the model, such as `keras.layers.Rescaling(1 / 255)`.
        seed: makes initial weights and dropout reproducible; None draws new ones each time.
        name: the model's name.

    Input shape: `(batch, *input_shape)`, uint8 or float. Output shape: `(batch, classes)`, float32 probabilities.

    Keras begins a Sequential's variable paths with the model's name until the model is saved and loaded, so patterns
    for paths should not be anchored at the start.

    Raises:
        InputError: an argument is outside its range or its name is unknown.

    Example:

    >>> mlp_sequential(layers=[20, 15], seed=0).count_params()
    61935

    Reference: Varma, lecture 7, "Using Sequential API"; there the images are flattened and scaled outside of the model.
    """
    parts = Parts(activation, initializer, normalization, dropout, regularizer, seed)
    inputs, raw_layers = image_layers(image_shape(input_shape, rank=None), preprocessing)
    hidden = [keras.layers.Flatten(name="flatten"), *hidden_layers(layers, parts)]
    return keras.Sequential([inputs, *raw_layers, *hidden, *parts.head(classes)], name=name)
