"""A dense layer whose weights serve in both directions."""

from typing import Any

import keras

from kerastrain._core.checks import boolean, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import PositiveInt


@keras.saving.register_keras_serializable(package="kerastrain")
class TiedDense(keras.layers.Layer):
    """A dense layer that is used twice, forward and transposed, with one kernel: for autoencoders.

    `y = activation(x W + b)`; called with `transpose=True`, `x = transpose_activation(y W^T + c)`

    One layer, so that it is one set of weights in the model and in its file; the gradient of W is the sum of those of
    its two uses. `keras.layers.ReversibleEmbedding` is the same idea for embeddings. For any other layer that is to be
    shared, call it more than once: Keras shares its weights, and sums their gradients.

    Args:
        units: features of the forward output, a whole number >= 1.
        activation: of the forward output; what `keras.activations.get` takes.
        transpose_activation: of the transposed output.
        use_bias: whether both directions have a bias of their own, zeros at the start.
        kernel_initializer: of W.
        kernel_regularizer: of W; it counts once.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor `(batch, ..., features)`, or `(batch, ..., units)` when transposed. The first call is forward.
        transpose: whether W^T is used.

    Output shape: `(batch, ..., units)`, or `(batch, ..., features)` when transposed.

    State: `kernel` `(features, units)`, `bias` `(units,)`, `transpose_bias` `(features,)`.

    Raises:
        InputError: `units` is no whole number >= 1; at the call, the last axis is not the one that W or W^T takes.

    Example:

    >>> inputs = keras.Input((3,))
    >>> tied = TiedDense(2, activation="tanh")
    >>> autoencoder = keras.Model(inputs, tied(tied(inputs), transpose=True))
    >>> autoencoder.output_shape, [tuple(weight.shape) for weight in autoencoder.weights]
    ((None, 3), [(3, 2), (2,), (3,)])

    Reference: Varma, Module I, "Shared weights" (dL/dw is the sum over the copies); Vincent et al., 2010, Stacked
    denoising autoencoders, JMLR 11, section 2.2 (tied weights).
    """

    def __init__(
        self,
        units: PositiveInt,
        activation: Any = None,
        transpose_activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = whole_number("units", units)
        self.activation = keras.activations.get(activation)
        self.transpose_activation = keras.activations.get(transpose_activation)
        self.use_bias = boolean("use_bias", use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        features = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = self.transpose_bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
            self.transpose_bias = self.add_weight(shape=(features,), initializer="zeros", name="transpose_bias")
        self.built = True

    def call(self, inputs: Any, transpose: bool = False) -> Any:
        self._check(inputs, transpose)
        kernel = keras.ops.transpose(self.kernel) if transpose else self.kernel
        bias = self.transpose_bias if transpose else self.bias
        outputs = keras.ops.matmul(inputs, kernel)
        outputs = outputs if bias is None else outputs + bias
        return (self.transpose_activation if transpose else self.activation)(outputs)

    def _check(self, inputs: Any, transpose: bool) -> None:
        needed = self.kernel.shape[1 if transpose else 0]
        if inputs.shape[-1] != needed:
            name = "units" if transpose else "features of the first call"
            raise InputError(
                f"`inputs` must have a last axis of {needed}, the {name}, when transpose={transpose}. "
                f"Received: shape {tuple(inputs.shape)}."
            )

    def compute_output_spec(self, inputs: Any, transpose: bool = False) -> keras.KerasTensor:
        self._check(inputs, transpose)
        features = self.kernel.shape[0] if transpose else self.units
        return keras.KerasTensor((*inputs.shape[:-1], features), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "transpose_activation": keras.activations.serialize(self.transpose_activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
