"""The random map whose mean is the GELU, as a layer."""

from typing import Any

import keras

from kerastrain import activations


@keras.saving.register_keras_serializable(package="kerastrain")
class StochasticGELU(keras.layers.Layer):
    """GELU as the random map that it is the mean of: activation and dropout in one.

    `y = m x` in training, m 1 with probability `Phi(x)`, else 0; `y = x Phi(x)` at inference, the expectation

    Values are dropped the more likely the smaller they are, so a network of it needs no other dropout. Keras has the
    GELU only.

    Args:
        seed: of the draws, an int, or None for new ones each time.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor of any shape.
        training: whether values are drawn.

    Output shape: that of the inputs.

    State: the state of the random generator.

    Raises:
        ValueError: `seed` is not an int.

    Example:

    >>> layer = StochasticGELU(seed=0)
    >>> round(float(layer(keras.ops.ones(()), training=False)), 4)
    0.8413

    Reference: Hendrycks and Gimpel, 2016, arXiv:1606.08415, section 2.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            return activations.stochastic_gelu(inputs, self.seed_generator)
        return activations.gelu(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
