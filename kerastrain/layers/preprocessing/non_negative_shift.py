"""Features without negative values."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain.layers.preprocessing.feature_statistics import FeatureStatistics


@keras.saving.register_keras_serializable(package="kerastrain")
class NonNegativeShift(FeatureStatistics):
    """Takes the smallest value of each feature off it, so that none is negative; the spread stays.

    `y = x - min`

    For what must not be negative and keeps its unit, such as counts or energies after an offset. New data below the
    minimum that was seen become negative: nothing is clipped. Keras has nothing of the kind.

    Args:
        axis: the axis or axes with a minimum for each entry; -1 for one a feature or channel, None for one in all.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor `(batch, ..., features)`.

    Output shape: that of the inputs.

    State: `minimum`, in the shape of the kept axes and 1 elsewhere, without the batch axis; not trained.

    Raises:
        InputError: an `axis` that the inputs have not; called before `adapt`.

    Example:

    >>> layer = NonNegativeShift().adapt(np.array([[-1.0, 10.0], [3.0, 30.0]]))
    >>> [float(y) for y in layer(np.array([[0.0, 25.0]]))[0]]
    [1.0, 15.0]

    Reference: Varma, Module I, "Feature preprocessing" (which prints "add the most negative entry").
    """

    def __init__(self, axis: int | Sequence[int] | None = -1, **kwargs: Any) -> None:
        super().__init__(axis, **kwargs)

    def make_statistics(self, shape: tuple[int, ...]) -> None:
        self.minimum = self.add_statistic("minimum", shape)

    def start(self) -> None:
        self._minimum = np.full(self._shape, np.inf)

    def update(self, batch: np.ndarray) -> None:
        self._minimum = np.minimum(self._minimum, self.reduced(np.min, batch))

    def finish(self) -> list[np.ndarray]:
        return [self._minimum]

    def transformed(self, inputs: Any) -> Any:
        return inputs - self.of_inputs(self.minimum, inputs)
