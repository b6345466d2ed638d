"""Features of mean zero."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain.layers.preprocessing.feature_statistics import FeatureStatistics


@keras.saving.register_keras_serializable(package="kerastrain")
class MeanCentering(FeatureStatistics):
    """Takes the mean of each feature off it; the spread stays.

    `y = x - mean`

    For features on one scale already, such as pixels. `keras.layers.Normalization` divides by the deviation as well:
    use it to standardize.

    Args:
        axis: the axis or axes with a mean for each entry; -1 for one a feature or channel, None for one in all.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor `(batch, ..., features)`.

    Output shape: that of the inputs.

    State: `mean`, in the shape of the kept axes and 1 elsewhere, without the batch axis; not trained.

    Raises:
        InputError: an `axis` that the inputs have not; called before `adapt`.

    Example:

    >>> layer = MeanCentering().adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> [float(y) for y in layer(np.array([[2.0, 25.0]]))[0]]
    [0.0, 5.0]

    Reference: Varma, Module I, "Feature preprocessing".
    """

    def __init__(self, axis: int | Sequence[int] | None = -1, **kwargs: Any) -> None:
        super().__init__(axis, **kwargs)

    def make_statistics(self, shape: tuple[int, ...]) -> None:
        self.mean = self.add_statistic("mean", shape)

    def start(self) -> None:
        self._seen, self._mean = 0, np.zeros(self._shape)

    def update(self, batch: np.ndarray) -> None:
        # Every sample has as many values a feature as the next, so samples are the weight.
        self._seen += len(batch)
        self._mean = self._mean + (self.reduced(np.mean, batch) - self._mean) * (len(batch) / self._seen)

    def finish(self) -> list[np.ndarray]:
        return [self._mean]

    def transformed(self, inputs: Any) -> Any:
        return inputs - self.of_inputs(self.mean, inputs)
