"""Statistics of each feature, over all other axes."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._core.errors import InputError
from kerastrain.layers.preprocessing.adapted_layer import AdaptedLayer


class FeatureStatistics(AdaptedLayer):
    """Base of layers with a statistic for each entry of some axes.

    Args:
        axis: the axis or axes that keep a number for each entry, as in `keras.layers.Normalization`: -1 for one a
            feature or channel, None for one number in all.
        **kwargs: what `keras.layers.Layer` takes.
    """

    def __init__(self, axis: int | Sequence[int] | None = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = () if axis is None else tuple(axis) if isinstance(axis, list | tuple) else (axis,)
        if any(isinstance(item, bool) or not isinstance(item, int) or item == 0 for item in axes):
            raise InputError(
                f"`axis` must be an axis other than 0, the batch's, a list of such, or None. Received: {axis!r}."
            )
        self.axis = axis if axis is None or isinstance(axis, int) else list(axes)
        self._kept = axes
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        if any(not -rank < axis < rank for axis in self._kept):
            raise InputError(
                f"`axis` must be axes of inputs of rank {rank}, not the first. Received: axis={self.axis}."
            )
        kept = {axis % rank for axis in self._kept}
        if any(input_shape[axis] is None for axis in kept):
            raise InputError(
                f"`axis` must be axes of a known length. Received: axis={self.axis} of shape {input_shape}."
            )
        # Without the batch axis, with 1 where the statistic is one for all.
        self._shape = tuple(input_shape[axis] if axis in kept else 1 for axis in range(1, rank))
        self._reduced = tuple(axis for axis in range(rank) if axis not in kept)
        self.make_statistics(self._shape)
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={axis: input_shape[axis] for axis in sorted(kept)})
        self.built = True

    def make_statistics(self, shape: tuple[int, ...]) -> None:
        """Make the weights, by `add_statistic`."""
        raise NotImplementedError

    def reduced(self, function: Any, batch: np.ndarray) -> np.ndarray:
        """`function` (`np.min`, ...) over all but the kept axes of a batch, in the shape of the statistics."""
        result: np.ndarray = function(batch, axis=self._reduced, keepdims=True)
        return result.reshape(self._shape)

    def of_inputs(self, statistic: keras.Variable, inputs: Any) -> Any:
        """A statistic in the dtype of the inputs, in a shape that broadcasts over them."""
        return keras.ops.cast(keras.ops.expand_dims(statistic, 0), inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
