"""The Gaussian error linear unit in its three forms."""

import math
from typing import Any

import keras

from kerastrain._core.checks import choice
from kerastrain._core.one_pass import OnePass

APPROXIMATIONS = ("none", "tanh", "sigmoid")

_SLOPE, _CUBIC, _ROOT = 1.702, 0.044715, math.sqrt(2 / math.pi)


def _exact(x: Any) -> Any:
    return keras.ops.gelu(x, approximate=False)


def _exact_derivative(x: Any) -> Any:
    probability = 0.5 * (1 + keras.ops.erf(x * math.sqrt(0.5)))
    return probability + x * keras.ops.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _tanh(x: Any) -> Any:
    return keras.ops.gelu(x, approximate=True)


def _tanh_derivative(x: Any) -> Any:
    tanh = keras.ops.tanh(_ROOT * (x + _CUBIC * x * x * x))
    return 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * _ROOT * (1 + 3 * _CUBIC * x * x)


def _sigmoid(x: Any) -> Any:
    return x * keras.ops.sigmoid(_SLOPE * x)


def _sigmoid_derivative(x: Any) -> Any:
    sigmoid = keras.ops.sigmoid(_SLOPE * x)
    return sigmoid + _SLOPE * x * sigmoid * (1 - sigmoid)


_FORMS = {
    "none": OnePass(_exact, _exact_derivative),
    "tanh": OnePass(_tanh, _tanh_derivative),
    "sigmoid": OnePass(_sigmoid, _sigmoid_derivative),
}


@keras.saving.register_keras_serializable(package="kerastrain")
def gelu(x: Any, approximate: str = "none") -> Any:
    """The Gaussian error linear unit: each value times the probability that a standard normal one is smaller.

    - `none`: `x Phi(x) = x (1 + erf(x / sqrt(2))) / 2`
    - `tanh`: `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`, within 5e-4 of it
    - `sigmoid`: `x / (1 + exp(-1.702 x))`, within 2.1e-2 of it, and the cheapest

    `keras.activations.gelu(x, approximate=True)` (its default is False) is the tanh form; it has no sigmoid form. On
    TensorFlow each form and its derivative are compiled to one pass over memory, in float32 inside, which makes the
    exact one as cheap as the others.

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
    form = _FORMS[choice("approximate", approximate, APPROXIMATIONS)]
    return form(x if isinstance(x, keras.KerasTensor) else keras.ops.convert_to_tensor(x))
