"""A classifier that has to keep what it needs to draw its input again."""

from collections.abc import Sequence

import keras

from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeFloat
from kerastrain.layers import TiedDense
from kerastrain.topologies.arguments import Widths, image_layers, image_shape, whole_numbers
from kerastrain.topologies.components import Activation, Dropout, Initializer, Regularizer, is_drop_connect, pieces
from kerastrain.topologies.parts import Parts, through
from kerastrain.topologies.reconstruction_loss import ReconstructionLoss


def supervised_autoencoder(
    *,
    units: Widths = (256, 64),
    reconstruction_weight: NonNegativeFloat = 1.0,
    activation: Activation = "relu",
    initializer: Initializer = "glorot_uniform",
    dropout: Dropout = None,
    regularizer: Regularizer = None,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    preprocessing: Sequence[keras.Layer] = (),
    seed: int | None = None,
    name: str = "supervised_autoencoder",
) -> keras.Model:
    """An encoder of dense layers, a softmax on its code, and the same weights transposed as the decoder.

    `h_k = f(h_(k-1) W_k + b_k)`, back from the code `g_(k-1) = f(g_k W_k^T + c_k)`, the last one without f; the loss is
    the classifier's plus `reconstruction_weight * mean((h_0 - g_0) ** 2)`. Each W_k is one weight in two places
    (`layers.TiedDense`), and its gradient the sum of both. The reconstruction keeps the code from forgetting what the
    labels do not ask for, a regularizer that needs no labels; weight 0 leaves an MLP.

    Args:
        units: of each layer of the encoder; the last ones are the code.
        reconstruction_weight: of the mean squared error, in units of the preprocessed image; a number >= 0.
        activation: a name of `ACTIVATIONS` but `maxout`, a mapping, a function of a tensor, or None for the identity.
        initializer: of every kernel; a name of `INITIALIZERS`, a mapping or a Keras initializer.
        dropout: of the code; a rate in [0, 1), a name of `DROPOUTS` in a mapping but `drop_connect`, or None.
        regularizer: of every kernel; an L2 rate, a name of `REGULARIZERS`, a mapping, a Keras regularizer or None.
        input_shape: of one sample, flattened inside the model.
        classes: number of classes, at least 2.
        preprocessing: layers applied to the raw image in the model, such as `keras.layers.Rescaling(1 / 255)`.
        seed: makes initial weights and dropout reproducible; None draws new ones each time.
        name: the model's name.

    Input shape: `(batch, *input_shape)`, uint8 or float. Output shape: `(batch, classes)`, float32 probabilities.

    Raises:
        InputError: an argument is outside its range or its name is unknown.

    Example:

    >>> model = supervised_autoencoder(units=[20], seed=0)
    >>> model.count_params() == 3072 * 20 + 20 + 3072 + 20 * 10 + 10
    True

    Reference: Le, Patterson and White, 2018, Supervised autoencoders: Improving generalization performance with
    unsupervised regularizers, NeurIPS. Varma, Module I, "Shared weights".
    """
    parts = Parts(activation, initializer, None, dropout, regularizer, seed)
    if pieces(activation) > 1:
        raise InputError("`activation`: `maxout` makes one of several features, which has no transpose. Use `relu`.")
    if is_drop_connect(dropout):
        raise InputError("`dropout`: `drop_connect` would drop a weight in one of its two places. Use `dropout`.")
    inputs, raw_layers = image_layers(image_shape(input_shape, rank=None), preprocessing)
    image = keras.layers.Flatten(name="flatten")(through(inputs, raw_layers))
    tied = [
        TiedDense(width, name=f"layer{number}_tied", **parts.kernel(f"layer{number}_tied"))
        for number, width in enumerate(whole_numbers("units", units), start=1)
    ]
    code = image
    for number, layer in enumerate(tied, start=1):
        code = through(layer(code), parts.flat_activation(f"layer{number}_activation"))
    back = code
    for number, layer in reversed(list(enumerate(tied, start=1))):
        back = layer(back, transpose=True)
        if number > 1:
            back = through(back, parts.flat_activation(f"layer{number}_back_activation"))
    code = ReconstructionLoss(reconstruction_weight, name="reconstruction")([image, back, code])
    code = through(code, parts.flat_dropout("code_dropout"))
    return keras.Model(inputs, through(code, parts.head(classes)), name=name)
