"""The exchangeable parts that one model is made of, and the groups of layers that they make."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import keras

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain.topologies.components import (
    Activation,
    Dropout,
    Initializer,
    Normalization,
    Regularizer,
    activation,
    connected,
    dropout,
    initializer,
    normalization,
    pieces,
    regularizer,
)


@dataclasses.dataclass(frozen=True)
class Parts:
    """The five exchangeable parts, as values (see `components`), the model's seed, and the class of its convolutions.

    A weighted layer has no bias where the normalization behind it adds one of its own (Ioffe and Szegedy, 2015, arXiv
    1502.03167, section 3.2).
    """

    activation: Activation
    initializer: Initializer
    normalization: Normalization
    dropout: Dropout
    regularizer: Regularizer
    seed: int | None
    convolution_layer: type[keras.layers.Conv2D] = keras.layers.Conv2D

    def dense(self, units: int, name: str) -> list[keras.Layer]:
        """Dense, normalization, activation, dropout: the last three where they are asked for."""
        features = units * pieces(self.activation)
        norm = normalization(self.normalization, f"{name}_normalization", channels=features)
        kernel = self.kernel(f"{name}_dense")
        dense = keras.layers.Dense(features, use_bias=not _centers(norm), name=f"{name}_dense", **kernel)
        return [
            self._connected(dense),
            *([] if norm is None else [norm]),
            *self.flat_activation(f"{name}_activation"),
            *self.flat_dropout(f"{name}_dropout"),
        ]

    def convolution(
        self,
        width: int,
        block: str,
        number: int,
        *,
        size: int = 3,
        strides: int = 1,
        padding: str = "same",
        zero_scale: bool = False,
    ) -> list[keras.Layer]:
        """A convolution and its normalization, the `number`-th of `block`, in front of an activation of `width`.

        With `zero_scale` the normalization starts at the scale 0, so that what ends with it starts as 0.
        """
        name = f"{block}_convolution{number}"
        features = width * pieces(self.activation)
        norm = normalization(self.normalization, f"{block}_normalization{number}", channels=features)
        if zero_scale:
            if not getattr(norm, "scale", False):
                raise InputError("`zero_gamma` needs a `normalization` with a scale, such as `batch`.")
            norm.gamma_initializer = keras.initializers.Zeros()  # type: ignore[union-attr]
        kernel = self.kernel(name, spatial=True)
        layers = [
            self._connected(
                self.convolution_layer(
                    features, size, strides=strides, padding=padding, use_bias=not _centers(norm), name=name, **kernel
                )
            ),
            norm,
        ]
        return [layer for layer in layers if layer is not None]

    def flat_activation(self, name: str) -> list[keras.Layer]:
        """The activation of vectors, in a list that is empty for the identity."""
        layer = activation(self.activation, name, self.seed)
        return [] if layer is None else [layer]

    def flat_dropout(self, name: str) -> list[keras.Layer]:
        """The dropout of vectors, in a list that is empty without dropout."""
        layer = dropout(self.dropout, name, self.seed)
        return [] if layer is None else [layer]

    def spatial_activation(self, name: str) -> list[keras.Layer]:
        """The activation of feature maps, in a list that is empty for the identity."""
        layer = activation(self.activation, name, self.seed, spatial=True)
        return [] if layer is None else [layer]

    def spatial_dropout(self, name: str) -> list[keras.Layer]:
        """The dropout of feature maps, in a list that is empty without dropout."""
        layer = dropout(self.dropout, name, self.seed, spatial=True)
        return [] if layer is None else [layer]

    def head(self, classes: int, output: str = "softmax") -> list[keras.Layer]:
        """`head`, dense, and `probabilities`, which is float32 also under a mixed precision policy."""
        classes = whole_number("classes", classes, minimum=2 if output == "softmax" else 1)
        return [
            keras.layers.Dense(classes, name="head", **self.kernel("head", hidden=False)),
            keras.layers.Activation(output, dtype="float32", name="probabilities"),
        ]

    def kernel(self, name: str, *, spatial: bool = False, hidden: bool = True) -> dict[str, Any]:
        """Initializer and regularizer of the kernel of the layer `name`, as its arguments."""
        path = f"{name}/kernel"
        return {
            "kernel_initializer": initializer(self.initializer, path, self.seed, spatial=spatial, hidden=hidden),
            "kernel_regularizer": regularizer(self.regularizer, path, spatial=spatial),
        }

    def _connected(self, layer: keras.Layer) -> keras.Layer:
        return connected(self.dropout, layer, self.seed)


def through(x: keras.KerasTensor, layers: Iterable[keras.Layer]) -> keras.KerasTensor:
    """What `layers`, one after the other, make of `x`."""
    for layer in layers:
        x = layer(x)
    return x


def _centers(norm: keras.Layer | None) -> bool:
    return bool(getattr(norm, "center", False))
