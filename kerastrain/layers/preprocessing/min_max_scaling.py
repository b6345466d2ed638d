"""Features within a range."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import FiniteFloat
from kerastrain.layers.preprocessing.feature_statistics import FeatureStatistics


@keras.saving.register_keras_serializable(package="kerastrain")
class MinMaxScaling(FeatureStatistics):
    """Each feature linearly into a range, by the smallest and the largest value it had.

    `y = low + (x - min) / (max - min) * (high - low)`; a feature of one value becomes `low`

    For features of known bounds and no outliers: one outlier presses all others together. New data beyond the bounds
    that were seen go beyond the range: nothing is clipped. `keras.layers.Rescaling` needs the numbers given; it is
    `sklearn.preprocessing.MinMaxScaler` as a layer.

    Args:
        low: what the minimum becomes.
        high: what the maximum becomes, above `low`.
        axis: the axis or axes with bounds for each entry; -1 for one a feature or channel, None for one in all.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: a tensor `(batch, ..., features)`.

    Output shape: that of the inputs.

    State: `minimum` and `maximum`, in the shape of the kept axes and 1 elsewhere, without the batch axis; not trained.

    Raises:
        InputError: `high` is not above `low`; an `axis` that the inputs have not; called before `adapt`.

    Example:

    >>> layer = MinMaxScaling(-1.0, 1.0).adapt(np.array([[0.0, 5.0], [10.0, 5.0]]))
    >>> [float(y) for y in layer(np.array([[7.5, 5.0]]))[0]]
    [0.5, -1.0]

    Reference: Han, Kamber and Pei, 2011, Data mining: concepts and techniques, section 3.5.2 (min-max normalization).
    """

    def __init__(
        self,
        low: FiniteFloat = 0.0,
        high: FiniteFloat = 1.0,
        axis: int | Sequence[int] | None = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(axis, **kwargs)
        self.low, self.high = number("low", low), number("high", high)
        if self.high <= self.low:
            raise InputError(f"`high` must be above `low`. Received: low={low!r}, high={high!r}.")

    def make_statistics(self, shape: tuple[int, ...]) -> None:
        self.minimum = self.add_statistic("minimum", shape)
        self.maximum = self.add_statistic("maximum", shape)

    def start(self) -> None:
        self._minimum, self._maximum = np.full(self._shape, np.inf), np.full(self._shape, -np.inf)

    def update(self, batch: np.ndarray) -> None:
        self._minimum = np.minimum(self._minimum, self.reduced(np.min, batch))
        self._maximum = np.maximum(self._maximum, self.reduced(np.max, batch))

    def finish(self) -> list[np.ndarray]:
        return [self._minimum, self._maximum]

    def transformed(self, inputs: Any) -> Any:
        minimum, maximum = self.of_inputs(self.minimum, inputs), self.of_inputs(self.maximum, inputs)
        width = keras.ops.where(maximum > minimum, maximum - minimum, keras.ops.ones_like(minimum))
        return self.low + (inputs - minimum) / width * (self.high - self.low)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "low": self.low, "high": self.high}
