"""The residual networks of He et al. for CIFAR."""

from collections.abc import Sequence
from typing import Annotated

import keras
from pydantic import AfterValidator

from kerastrain._core.checks import number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import Fraction, PositiveInt
from kerastrain.layers import StochasticDepth
from kerastrain.topologies.arguments import image_layers, image_shape, still_images
from kerastrain.topologies.components import Activation, Dropout, Initializer, Normalization, Regularizer, pieces
from kerastrain.topologies.parts import Parts, through
from kerastrain.topologies.seeds import derived_seed


def checked_depth(depth: int) -> int:
    """`depth`, when it is 6n + 2 with n >= 1. Raises InputError naming the nearest depth otherwise."""
    depth = whole_number("depth", depth)
    if depth < 8 or depth % 6 != 2:
        nearest = max(8, round((depth - 2) / 6) * 6 + 2)
        raise InputError(
            f"`depth` must be 6n + 2 with n >= 1, such as 20, 32, 44, 56 or 110. Received: depth={depth}. "
            f"The nearest is {nearest}."
        )
    return depth


def residual(
    *,
    depth: Annotated[int, AfterValidator(checked_depth)] = 20,
    width: PositiveInt = 16,
    activation: Activation = "relu",
    initializer: Initializer = "he_normal",
    normalization: Normalization = "batch",
    dropout: Dropout = None,
    regularizer: Regularizer = None,
    stochastic_depth: Fraction = 0.0,
    zero_gamma: bool = False,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    preprocessing: Sequence[keras.Layer] = (),
    seed: int | None = None,
    name: str = "residual",
) -> keras.Model:
    """ResNet-20, 32, 44, 56 or 110 by `depth`: `y = activation(F(x) + x)`, F two 3x3 convolutions with normalization.

    One convolution, then three stages of n blocks with `width`, `2 width` and `4 width` channels, global average
    pooling and softmax; `depth = 6n + 2` counts the convolutions and the dense layer. Where height and width halve, the
    shortcut takes every second pixel and fills the new channels with zeros (the paper's option A): it has no weights,
    as in the paper's CIFAR experiments, so that depth and parameter counts are the paper's (ResNet-20: 0.27M).

    Args:
        depth: 6n + 2 with n >= 1.
        width: channels of the first stage, at least 1.
        activation: a name of `ACTIVATIONS`, a mapping, a function of a tensor, or None for the identity.
        initializer: of every kernel; a name of `INITIALIZERS`, a mapping or a Keras initializer.
        normalization: a name of `NORMALIZATIONS`, a mapping, or None.
        dropout: between the two convolutions of each block, as in wide residual networks (Zagoruyko and Komodakis,
            2016, arXiv 1605.07146); a rate in [0, 1), a name of `DROPOUTS` in a mapping, or None as in the paper.
        regularizer: of every kernel; the paper's weight decay of 1e-4 adds `0.5e-4 * sum(w ** 2)` to the loss.
        stochastic_depth: the rate at which samples skip the last block's branch, in [0, 1); earlier blocks are skipped
            less, by `StochasticDepth.linear_rate`. 0 for never.
        zero_gamma: whether the last normalization of each branch starts at the scale 0, so that every block starts as
            the identity (Goyal et al., 2017, arXiv 1706.02677, section 5.1).
        input_shape: `(height, width, channels)`.
        classes: number of classes, at least 2.
        preprocessing: layers applied to the raw image in the model, such as `keras.layers.Rescaling(1 / 255)`.
        seed: makes initial weights and dropout reproducible; None draws new ones each time.
        name: the model's name.

    Input shape: `(batch, height, width, channels)`, uint8 or float. Output shape: `(batch, classes)`, float32.

    Raises:
        InputError: `depth` is not 6n + 2, another argument is outside its range, or its name is unknown.

    Example:

    >>> residual(depth=20).count_params()
    271098

    Of these, 1,376 are moving statistics, which are not trained.

    Reference: He, Zhang, Ren and Sun, 2015, Deep residual learning for image recognition, arXiv 1512.03385, sec. 4.2.
    """
    width = whole_number("width", width)
    blocks = (checked_depth(depth) - 2) // 6
    skipped = number("stochastic_depth", stochastic_depth, minimum=0, below=1)
    if pieces(activation) > 1:
        raise InputError(
            "`activation`: `maxout` leaves fewer features than it gets, and a residual sum needs as many. Use another, "
            "or the topology `convnet`."
        )
    parts = Parts(activation, initializer, normalization, dropout, regularizer, seed)
    inputs, raw_layers = image_layers(image_shape(input_shape, divisions=2), preprocessing)
    x = still_images(through(inputs, raw_layers))
    x = through(x, parts.convolution(width, "stem", 1))
    x = through(x, parts.spatial_activation("stem_activation1"))
    for stage in (1, 2, 3):
        for block in range(1, blocks + 1):
            x = _block(
                x,
                parts,
                width * 2 ** (stage - 1),
                f"stage{stage}_block{block}",
                halve=stage > 1 and block == 1,
                skipped=StochasticDepth.linear_rate((stage - 1) * blocks + block, 3 * blocks, skipped),
                zero_gamma=zero_gamma,
            )
    x = keras.layers.GlobalAveragePooling2D(name="global_pooling")(x)
    return keras.Model(inputs, through(x, parts.head(classes)), name=name)


def _block(
    x: keras.KerasTensor, parts: Parts, width: int, name: str, *, halve: bool, skipped: float, zero_gamma: bool
) -> keras.KerasTensor:
    branch = through(x, _first_convolution(parts, width, name, halve=halve))
    branch = through(branch, parts.spatial_activation(f"{name}_activation1"))
    branch = through(branch, parts.spatial_dropout(f"{name}_dropout"))
    branch = through(branch, parts.convolution(width, name, 2, zero_scale=zero_gamma))
    if skipped:
        depth_name = f"{name}_stochastic_depth"
        branch = StochasticDepth(skipped, seed=derived_seed(parts.seed, depth_name), name=depth_name)(branch)
    x = through(x, _shortcut(width - x.shape[-1], name)) if halve else x
    x = keras.layers.Add(name=f"{name}_sum")([branch, x])
    return through(x, parts.spatial_activation(f"{name}_activation2"))


def _first_convolution(parts: Parts, width: int, name: str, *, halve: bool) -> list[keras.Layer]:
    if not halve:
        return parts.convolution(width, name, 1)
    # Keras's `same` pads an even image on one side only when it strides, which would center the kernels on the pixels
    # between those that the shortcut takes.
    padding = keras.layers.ZeroPadding2D(1, name=f"{name}_padding")
    return [padding, *parts.convolution(width, name, 1, strides=2, padding="valid")]


def _shortcut(new_channels: int, name: str) -> list[keras.Layer]:
    before = new_channels // 2
    return [
        keras.layers.MaxPooling2D(1, strides=2, name=f"{name}_subsampling"),
        # Told that channels come first, ZeroPadding2D pads the last two axes, here width (by none) and channels. Unlike
        # `keras.ops.pad` it is a layer, with a name of our own.
        keras.layers.ZeroPadding2D(
            ((0, 0), (before, new_channels - before)), data_format="channels_first", name=f"{name}_channels"
        ),
    ]
