"""Dropout of weights."""

from typing import Any

import keras

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import Fraction
from kerastrain._core.substituted import substituted


@keras.saving.register_keras_serializable(package="kerastrain")
class DropConnect(keras.layers.Wrapper):
    """A dense layer or a convolution whose single weights are dropped at random in training.

    `y = layer with kernel M * W / (1 - rate)` in training, each element of M 0 with probability `rate` and 1 otherwise,
    one mask a batch; `y = layer` at inference. The bias stays.

    Dropout zeroes a value for all that read it; here each connection is dropped by itself. Keras has nothing of the
    kind. The paper draws a mask for each sample, and at inference samples from a Gaussian; one mask a batch costs
    nothing beside the product, and the plain weights are the mean of that Gaussian before the activation.

    Args:
        layer: a Keras layer with one `kernel`: `Dense`, `EinsumDense`, `Conv1D`, `Conv2D`, `Conv3D` and their
            transposed and depthwise kin.
        rate: the fraction of weights that is dropped, in [0, 1).
        seed: of the masks, an int, or None for new ones each time.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: what the layer takes.
        training: whether weights are dropped.

    Output shape: that of the layer.

    State: the layer's; the state of the random generator.

    Raises:
        InputError: `rate` is not a number in [0, 1), or the layer is none, has no kernel once it is built, or assigns
            to its kernel when it is called.

    Example:

    >>> layer = DropConnect(keras.layers.Dense(2, kernel_initializer="ones"), rate=0.5, seed=0)
    >>> [float(y) for y in layer(keras.ops.ones((1, 4)), training=False)[0]]
    [4.0, 4.0]

    Reference: Wan, Zeiler, Zhang, LeCun and Fergus, 2013, Regularization of neural networks using DropConnect, ICML,
    section 3.
    """

    def __init__(self, layer: keras.Layer, rate: Fraction, seed: int | None = None, **kwargs: Any) -> None:
        if not isinstance(layer, keras.Layer):
            raise InputError(f"`layer` must be a Keras layer, such as keras.layers.Dense(10). Received: {layer!r}.")
        super().__init__(layer, **kwargs)
        self.rate = number("rate", rate, minimum=0, below=1)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = layer.supports_masking

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if not isinstance(_kernel(self.layer), keras.Variable):
            raise InputError(
                f"`layer` must have a kernel whose weights can be dropped, such as a Dense or Conv2D. Received: "
                f"{type(self.layer).__name__} `{self.layer.name}`."
            )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return self.layer(inputs)
        kernel = _kernel(self.layer)
        # Drawn in float32 at least: in steps of bfloat16's 1/128, a rate of 0.01 would be one of 0.016.
        ones = keras.ops.ones(kernel.shape, dtype=keras.backend.result_type(kernel.dtype, "float32"))
        mask = keras.random.dropout(ones, self.rate, seed=self.seed_generator)
        return substituted(self.layer, [(kernel, keras.ops.multiply(kernel, mask))], inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def _kernel(layer: keras.Layer) -> Any:
    # `kernel` is a variable, or (Dense, Conv) a property that gives it.
    return getattr(layer, "kernel", None)
