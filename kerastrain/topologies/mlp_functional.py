"""A multilayer perceptron by Keras's Functional API."""

from collections.abc import Sequence

import keras

from kerastrain.topologies.arguments import image_layers, image_shape
from kerastrain.topologies.components import Activation, Dropout, Initializer, Normalization, Regularizer
from kerastrain.topologies.dense_layers import DenseLayers, hidden_layers
from kerastrain.topologies.parts import Parts, through


def mlp_functional(
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
    name: str = "mlp_functional",
) -> keras.Model:
    """The network of `mlp_sequential` by the Functional API: the same layers, names, weights and outputs.

    Args:
        layers: see `mlp_sequential`, as for all other arguments.
        activation: of every hidden layer.
        initializer: of every kernel.
        normalization: between each hidden layer's product and its activation.
        dropout: behind each hidden layer.
        regularizer: of every kernel.
        input_shape: of one sample, flattened inside the model.
        classes: number of classes, at least 2.
        preprocessing: layers applied to the raw image in the model.
        seed: the same seed gives the same weights as in `mlp_sequential`.
        name: the model's name.

    Input shape: `(batch, *input_shape)`, uint8 or float. Output shape: `(batch, classes)`, float32 probabilities.

    Raises:
        InputError: an argument is outside its range or its name is unknown.

    Example:

    >>> [layer.name for layer in mlp_functional(layers=[4]).layers]
    ['image', 'flatten', 'layer1_dense', 'layer1_activation', 'head', 'probabilities']

    Reference: Varma, lecture 7, "Keras Functional API".
    """
    parts = Parts(activation, initializer, normalization, dropout, regularizer, seed)
    inputs, raw_layers = image_layers(image_shape(input_shape, rank=None), preprocessing)
    x = keras.layers.Flatten(name="flatten")(through(inputs, raw_layers))
    x = through(x, hidden_layers(layers, parts))
    return keras.Model(inputs, through(x, parts.head(classes)), name=name)
