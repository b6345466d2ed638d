"""The GELU as a layer."""

from typing import Any, Literal

import keras

from kerastrain import activations
from kerastrain._core.checks import choice
from kerastrain.activations.gelu import APPROXIMATIONS


@keras.saving.register_keras_serializable(package="kerastrain")
class GELU(keras.layers.Layer):
    """The Gaussian error linear unit as a layer, exact or by one of two approximations.

    `y = x Phi(x)`, or its tanh or sigmoid form; see `kerastrain.activations.gelu` for the formulas

    Keras has the function, without the sigmoid form, and no layer of it but `keras.layers.Activation("gelu")`.

    Args:
        approximate: `"none"`, `"tanh"` or `"sigmoid"`.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor of any shape.

    Output shape: that of the inputs.

    State: none.

    Raises:
        InputError: another `approximate`.

    Example:

    >>> [round(float(y), 3) for y in GELU("tanh")(keras.ops.convert_to_tensor([-1.0, 0.0, 1.0]))]
    [-0.159, 0.0, 0.841]

    Reference: Hendrycks and Gimpel, 2016, Gaussian error linear units (GELUs), arXiv:1606.08415.
    """

    def __init__(self, approximate: Literal["none", "tanh", "sigmoid"] = "none", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approximate = choice("approximate", approximate, APPROXIMATIONS)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        return activations.gelu(inputs, self.approximate)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "approximate": self.approximate}
