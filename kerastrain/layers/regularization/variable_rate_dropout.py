"""Dropout whose rate can be moved while a compiled training runs."""

from typing import Any

import keras

from kerastrain._core.checks import number
from kerastrain._core.registry import Fraction

# What is below it is below 1 as a float32 too.
_BELOW = 1 - 2**-25


@keras.saving.register_keras_serializable(package="kerastrain")
class VariableRateDropout(keras.layers.Layer):
    """Dropout with its rate in a variable, so that schedules and searches move it without a new trace.

    `y = m * x / (1 - rate)` in training, each `m` 0 with probability `rate` and 1 otherwise; `y = x` at inference

    `keras.layers.Dropout` has the same formula with the rate as a Python number: part of the compiled step, where a new
    value is not seen. Set this one's with `layer.rate = 0.3`, from a callback or between two trials of a search; in a
    callback take the layer from `self.model` (on JAX the weights are in the compiled step until it is asked for). The
    rate is a weight that is not trained, so it is saved with the model, and a loaded model goes on with it.

    Args:
        rate: the initial fraction that is dropped, in [0, 1).
        seed: of the masks, an int, or None for new ones each time.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor of any shape.
        training: whether values are dropped.

    Output shape: that of the inputs.

    State: `dropout_rate`, a scalar float32 weight, not trained; the state of the random generator.

    Raises:
        InputError: `rate` is not a number in [0, 1), at the start or when it is set.

    Example:

    >>> layer = VariableRateDropout(0.5, seed=0)
    >>> layer.rate = 0.0
    >>> [float(y) for y in layer(keras.ops.ones((3,)), training=True)]
    [1.0, 1.0, 1.0]

    Reference: Srivastava et al., 2014, Dropout: a simple way to prevent neural networks from overfitting, JMLR 15; a
    rate that moves is that of Morerio et al., 2017, Curriculum dropout, arXiv:1703.06229.
    """

    def __init__(self, rate: Fraction, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_rate = number("rate", rate, minimum=0, below=_BELOW)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.dropout_rate = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.initial_rate),
            dtype="float32",
            trainable=False,
            autocast=False,
            name="dropout_rate",
        )
        self.supports_masking = True
        self.built = True

    @property
    def rate(self) -> float:
        """The present rate; set it to a number in [0, 1)."""
        return float(keras.ops.convert_to_numpy(self.dropout_rate))

    @rate.setter
    def rate(self, rate: float) -> None:
        self.dropout_rate.assign(number("rate", rate, minimum=0, below=_BELOW))

    def call(self, inputs: Any, training: bool = False) -> Any:
        inputs = keras.ops.cast(inputs, self.compute_dtype)  # Integers too, whose scale would be 1.
        if not training:
            return inputs
        drawn = keras.random.uniform(keras.ops.shape(inputs), dtype="float32", seed=self.seed_generator)
        scale = keras.ops.cast(1.0 / (1.0 - self.dropout_rate), inputs.dtype)
        return keras.ops.where(drawn >= self.dropout_rate, inputs * scale, keras.ops.zeros_like(inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.initial_rate, "seed": self.seed}
