"""The Gaussian error linear unit in its three forms."""

from typing import Any

import keras

from kerastrain._core.checks import choice

APPROXIMATIONS = ("none", "tanh", "sigmoid")


@keras.saving.register_keras_serializable(package="kerastrain")
def gelu(x: Any, approximate: str = "none") -> Any:
    """The Gaussian error linear unit: each value times the probability that a standard normal one is smaller.

    - `none`: `x Phi(x) = x (1 + erf(x / sqrt(2))) / 2`
    - `tanh`: `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`, within 5e-4 of it
    - `sigmoid`: `x / (1 + exp(-1.702 x))`, within 2.1e-2 of it, and the cheapest

    `keras.activations.gelu(x, approximate=True)` (its default is False) is the tanh form; it has no sigmoid form.

    Args:
        x: a tensor of any shape.
        approximate: `"none"`, `"tanh"` or `"sigmoid"`.

    Raises:
        InputError: another `approximate`.

    Example:

    >>> [round(float(gelu(keras.ops.convert_to_tensor(1.0), form)), 4) for form in ("none", "tanh", "sigmoid")]
    [0.8413, 0.8412, 0.8458]

    Reference: Hendrycks and Gimpel, 2016, Gaussian error linear units (GELUs), arXiv:1606.08415, section 2.
    """
    if choice("approximate", approximate, APPROXIMATIONS) == "sigmoid":
        x = keras.ops.convert_to_tensor(x)
        return x * keras.ops.sigmoid(1.702 * x)
    return keras.ops.gelu(x, approximate=approximate == "tanh")
