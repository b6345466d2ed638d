"""Dropout as its paper has it: the outputs are scaled at inference."""

from typing import Any

import keras

from kerastrain._core.checks import number
from kerastrain._core.registry import Fraction


@keras.saving.register_keras_serializable(package="kerastrain")
class TextbookDropout(keras.layers.Dropout):
    """Dropout in the non-inverted form: values are zeroed in training, and all are scaled at inference.

    `y = m * x` in training, each `m` 0 with probability `rate` and 1 otherwise; `y = (1 - rate) * x` at inference

    `keras.layers.Dropout` is the inverted form: it scales by `1 / (1 - rate)` in training and does nothing at
    inference. Both have the same expectation in training and at inference; here the activations (and gradients) of
    training are smaller by `1 - rate`, as if the learning rate were. Use it to follow a text or a paper to the letter;
    for anything else Keras's is the better habit, since a model without its dropout is the model at inference.

    Args:
        rate: the fraction that is dropped, in [0, 1). (Texts that call the fraction kept `p` have `rate = 1 - p`.)
        noise_shape: shape of the mask, with 1 where values share theirs; None for one mask value each.
        seed: of the masks, an int, or None for new ones each time.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor of any shape.
        training: whether values are dropped.

    Output shape: that of the inputs.

    State: the state of the random generator.

    Raises:
        InputError: `rate` is not a number in [0, 1).

    Example:

    >>> layer = TextbookDropout(0.25)
    >>> [float(y) for y in layer(keras.ops.ones((3,)), training=False)]
    [0.75, 0.75, 0.75]

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, 2014, Dropout: a simple way to prevent
    neural networks from overfitting, JMLR 15, section 4 (its `p` is `1 - rate`).
    """

    def __init__(self, rate: Fraction, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(number("rate", rate, minimum=0, below=1), noise_shape=noise_shape, seed=seed, **kwargs)

    def call(self, inputs: Any, training: bool = False) -> Any:
        inputs = keras.ops.cast(inputs, self.compute_dtype)  # Integers too, which would be scaled to 0.
        if self.rate == 0:
            return inputs
        if not training:
            return inputs * keras.ops.cast(1.0 - self.rate, inputs.dtype)
        # Drawn in float32 at least: in steps of bfloat16's 1/128, a rate of 0.01 would be one of 0.016.
        ones = keras.ops.ones_like(inputs, dtype=keras.backend.result_type(inputs.dtype, "float32"))
        kept = keras.random.dropout(ones, self.rate, noise_shape=self.noise_shape, seed=self.seed_generator)
        return keras.ops.where(kept > 0, inputs, keras.ops.zeros_like(inputs))
