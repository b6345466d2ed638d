"""PReLU with a slope for each channel."""

from typing import Any

import keras

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import FiniteFloat


@keras.saving.register_keras_serializable(package="kerastrain")
class PReLU(keras.layers.PReLU):
    """Keras's PReLU with the paper's defaults: one slope a channel, 0.25 at the start.

    `y = x` where `x >= 0`, `y = beta x` elsewhere, beta learned for each channel (`max(beta x, x)` for beta <= 1)

    `keras.layers.PReLU` has a slope for each position too, unless it is told `shared_axes=[1, 2]` for images, and
    starts them at 0, as a ReLU whose slopes then learn from nothing but negative inputs.

    Args:
        initial_slope: beta at the start, a number.
        **kwargs: what `keras.layers.PReLU` takes, but for `alpha_initializer`; `shared_axes` is by default every axis
            between the first and the last; `[]` shares none.

    Call arguments:
        inputs: a tensor `(batch, ..., channels)`.

    Output shape: that of the inputs.

    State: `alpha`, the slopes, `(1, ..., channels)` without the batch axis.

    Raises:
        InputError: `initial_slope` is not a finite number, or `alpha_initializer` is given.

    Example:

    >>> layer = PReLU()
    >>> float(layer(keras.ops.full((1, 8, 8, 3), -2.0))[0, 0, 0, 0]), tuple(layer.alpha.shape)
    (-0.5, (1, 1, 3))

    Reference: He, Zhang, Ren and Sun, 2015, Delving deep into rectifiers, arXiv:1502.01852, section 2.1.
    """

    def __init__(self, initial_slope: FiniteFloat = 0.25, **kwargs: Any) -> None:
        self.initial_slope = number("initial_slope", initial_slope)
        if "alpha_initializer" in kwargs:
            raise InputError(
                "`alpha_initializer` is for keras.layers.PReLU only. Received: "
                f"alpha_initializer={kwargs['alpha_initializer']!r}. Give the start of all slopes as `initial_slope`."
            )
        super().__init__(alpha_initializer=keras.initializers.Constant(self.initial_slope), **kwargs)

    def build(self, input_shape: Any) -> None:
        if self.shared_axes is None and len(input_shape) > 2:
            self.shared_axes: list[int] | None = list(range(1, len(input_shape) - 1))
        super().build(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "initial_slope": self.initial_slope}
        del config["alpha_initializer"]
        return config
