"""The identity as a convolution."""

from typing import Any

import keras
import numpy as np

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import FiniteFloat


@keras.saving.register_keras_serializable(package="kerastrain")
class Dirac(keras.initializers.Initializer):
    """The kernel of a convolution that hands its input on: the identity.

    `w[center, ..., i, o] = gain` where `i = o`, and 0 elsewhere, for the first `min(inputs, outputs)` filters, with the
    center at `(size - 1) // 2`

    For `Conv1D`, `Conv2D` and `Conv3D` in one group, not for depthwise or grouped convolutions, whose kernels look like
    those of other layers. With `padding="same"` and stride 1 the layer starts as the identity, so that a deep network
    starts shallow. Filters beyond the number of inputs are 0, or drawn by `rest`; the CIFAR-10 speed records draw them
    as PyTorch does, `rest=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")`.
    `keras.initializers.Identity` is for matrices only; `torch.nn.init.dirac_` is this, without `rest`, but for kernels
    of an even size: there its center is `size // 2`, which shifts the input by one.

    Args:
        gain: the number on the diagonal.
        rest: an initializer for the filters beyond the number of inputs, or None for zeros.

    Raises:
        InputError: `gain` is no finite number; at the call, the shape is no convolution's.
        ValueError: `rest` is no initializer.

    Example:

    >>> layer = keras.layers.Conv1D(1, 3, padding="same", kernel_initializer=Dirac())
    >>> [float(y) for y in layer(np.array([[[1.0], [2.0], [3.0]]]))[0, :, 0]]
    [1.0, 2.0, 3.0]

    Reference: Zagoruyko and Komodakis, 2017, DiracNets, arXiv:1706.00388, equation 1; Jordan, 2024, arXiv:2404.00498,
    section 3.2 (partial identity).
    """

    def __init__(self, gain: FiniteFloat = 1.0, rest: Any = None) -> None:
        self.gain = number("gain", gain)
        self.rest = None if rest is None else keras.initializers.get(rest)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A kernel of `shape` `(size, ..., inputs, outputs)`."""
        if len(shape) < 3:
            raise InputError(
                f"Dirac is for the kernels of convolutions, (size, ..., inputs, outputs). Received: {tuple(shape)}."
                " Use keras.initializers.Identity for a matrix."
            )
        inputs, outputs = shape[-2:]
        center = tuple((size - 1) // 2 for size in shape[:-2])
        kernel = np.zeros(shape, dtype=np.float32)
        diagonal = np.arange(min(inputs, outputs))
        kernel[(*center, diagonal, diagonal)] = self.gain
        if self.rest is not None and outputs > inputs:
            # Drawn for the whole kernel, so that fans are those of the layer.
            drawn = np.array(keras.ops.convert_to_numpy(self.rest(shape, dtype="float32")))
            kernel[..., inputs:] = drawn[..., inputs:]
        return keras.ops.convert_to_tensor(kernel, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        rest = None if self.rest is None else keras.saving.serialize_keras_object(self.rest)
        return {"gain": self.gain, "rest": rest}
