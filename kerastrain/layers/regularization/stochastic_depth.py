"""Residual branches that are left out at random."""

from typing import Any

import keras

from kerastrain._core.checks import number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import Fraction


@keras.saving.register_keras_serializable(package="kerastrain")
class StochasticDepth(keras.layers.Layer):
    """Drops whole samples of a residual branch, before it is added: the network is shallower for them, in training.

    `y = b * x / (1 - rate)` in training, b one number a sample: 0 with probability `rate`, else 1; `y = x` at inference

    Put it at the end of each branch, behind the last normalization: `keras.layers.Add()([StochasticDepth(rate)(branch),
    shortcut])`. `linear_rate` gives the paper's rate of each block, which rises with depth. `keras.layers.Dropout` with
    a `noise_shape` does the same with a fixed rank and batch size. The paper scales at inference instead (by the
    probability to be kept); this form has the same expectation and leaves inference alone.

    Args:
        rate: the fraction of samples that skip the branch, in [0, 1).
        seed: of the draws, an int, or None for new ones each time.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor `(batch, ...)`, the branch.
        training: whether samples are dropped.

    Output shape: that of the inputs.

    State: the state of the random generator.

    Raises:
        InputError: `rate` is not a number in [0, 1), or there are several inputs.

    Example:

    >>> [StochasticDepth.linear_rate(block, blocks=4, last_rate=0.2) for block in (1, 2, 3, 4)]
    [0.05, 0.1, 0.15000000000000002, 0.2]

    Reference: Huang, Sun, Liu, Sedra and Weinberger, 2016, Deep networks with stochastic depth, arXiv:1603.09382,
    equations 2 and 4 (with 1 - rate for its p).
    """

    def __init__(self, rate: Fraction, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = number("rate", rate, minimum=0, below=1)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    @staticmethod
    def linear_rate(block: int, blocks: int, last_rate: float) -> float:
        """The rate of block number `block` of `blocks`, counted from 1: `block / blocks * last_rate`.

        Raises:
            InputError: a number is out of its range.
        """
        blocks, block = whole_number("blocks", blocks), whole_number("block", block)
        if block > blocks:
            raise InputError(f"`block` must be at most {blocks}, the number of blocks. Received: block={block}.")
        return block / blocks * number("last_rate", last_rate, minimum=0, below=1)

    def build(self, input_shape: Any) -> None:
        if input_shape and isinstance(input_shape[0], list | tuple):
            raise InputError(
                "StochasticDepth takes one tensor, the branch, and adds nothing: Add()([StochasticDepth(rate)(branch), "
                f"shortcut]). Received: {len(input_shape)} tensors."
            )
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        inputs = keras.ops.cast(inputs, self.compute_dtype)  # Integers too, whose scale would be 1.
        if not training or self.rate == 0:
            return inputs
        shape = (keras.ops.shape(inputs)[0], *(1 for _ in inputs.shape[1:]))
        drawn = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        factor = keras.ops.where(drawn >= self.rate, 1.0 / (1.0 - self.rate), 0.0)
        return inputs * keras.ops.cast(factor, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
