"""Dropout of square regions of feature maps."""

from typing import Any

import keras

from kerastrain._core.checks import boolean, number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import Fraction, PositiveInt


@keras.saving.register_keras_serializable(package="kerastrain")
class DropBlock2D(keras.layers.Layer):
    """Zeroes square regions of feature maps, so that what is dropped cannot be told from the pixels next to it.

    In training each position whose block fits into the map becomes the center of a dropped block with probability

    `gamma = rate / block_size^2 * (height * width) / ((height - block_size + 1) * (width - block_size + 1))`

    and `y = m * x * count(m) / sum(m)`, m the mask of what no block covers and the last factor over the whole batch;
    `y = x` at inference. About `rate` of all values are dropped (a little less, as blocks overlap).

    For convolutions, where neighboring pixels tell the same and dropping single ones (`keras.layers.Dropout`) does
    little. `keras.layers.SpatialDropout2D` drops whole maps. The paper raises `rate` over the training.

    Args:
        rate: the fraction of values that is dropped, in [0, 1).
        block_size: side of the dropped squares in pixels, a whole number >= 1; smaller maps are dropped as a whole.
        per_channel: whether each channel draws its own blocks (the paper found it better); False for all alike.
        seed: of the masks, an int, or None for new ones each time.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor `(batch, height, width, channels)`, of a known height and width.
        training: whether values are dropped.

    Output shape: that of the inputs.

    State: the state of the random generator.

    Raises:
        InputError: an argument is out of its range, or height or width are not known.

    Example:

    >>> layer = DropBlock2D(0.2, block_size=3, seed=0)
    >>> round(float(keras.ops.mean(layer(keras.ops.ones((8, 16, 16, 4)), training=True))), 4)
    1.0

    Reference: Ghiasi, Lin and Le, 2018, DropBlock: a regularization method for convolutional networks,
    arXiv:1810.12890, algorithm 1 and equation 1.
    """

    def __init__(
        self,
        rate: Fraction,
        block_size: PositiveInt = 7,
        per_channel: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = number("rate", rate, minimum=0, below=1)
        self.block_size = whole_number("block_size", block_size)
        self.per_channel = boolean("per_channel", per_channel)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Any) -> None:
        if None in input_shape[1:3]:
            raise InputError(
                f"`{self.name}` needs maps of a known height and width. Received: an input of shape {input_shape}. "
                "Give them to keras.Input, or use keras.layers.SpatialDropout2D."
            )
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        inputs = keras.ops.cast(inputs, self.compute_dtype)  # Integers too, whose scale would be 1.
        if not training or self.rate == 0:
            return inputs
        kept = self._kept(inputs)
        share = keras.ops.mean(kept)
        # Where everything was dropped there is nothing to scale.
        scale = 1.0 / keras.ops.where(share > 0, share, 1.0)
        return inputs * keras.ops.cast(kept * scale, inputs.dtype)

    def _kept(self, inputs: Any) -> Any:
        """1 where no block lies and 0 where one does, float32, broadcastable to the inputs."""
        height, width, channels = inputs.shape[1:]
        rows, columns = min(self.block_size, height), min(self.block_size, width)
        inner = (height - rows + 1, width - columns + 1)
        gamma = min(1.0, self.rate * height * width / (rows * columns * inner[0] * inner[1]))
        shape = (keras.ops.shape(inputs)[0], *inner, channels if self.per_channel else 1)
        drawn = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        corners = keras.ops.cast(drawn < gamma, "float32")
        # A block covers what lies less than its size below and right of its corner.
        padded = keras.ops.pad(corners, ((0, 0), (rows - 1, rows - 1), (columns - 1, columns - 1), (0, 0)))
        return 1.0 - keras.ops.max_pool(
            padded, (rows, columns), strides=1, padding="valid", data_format="channels_last"
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "block_size": self.block_size,
            "per_channel": self.per_channel,
            "seed": self.seed,
        }
