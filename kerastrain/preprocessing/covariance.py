"""Mean and covariance of more data than fits into memory."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kerastrain._core.errors import InputError


class Covariance:
    """Mean and covariance of rows that come in batches, in float64 and one pass.

    With n rows seen and a batch of m rows of mean b: `mean <- mean + (b - mean) m / (n + m)`, and the sum of products
    of deviations grows by the batch's own and by `(b - mean) (b - mean)^T n m / (n + m)`, so that nothing cancels.

    Example:

    >>> seen = Covariance()
    >>> seen.update(np.array([[0.0, 0.0], [2.0, 4.0]]))
    >>> seen.update(np.array([[4.0, 2.0]]))
    >>> seen.mean.tolist(), seen.matrix().tolist()
    ([2.0, 2.0], [[4.0, 2.0], [2.0, 4.0]])

    Reference: Chan, Golub and LeVeque, 1983, Algorithms for computing the sample variance, The American Statistician
    37 (3), equation 2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = np.zeros(0)
        self._products = np.zeros((0, 0))

    def update(self, rows: Any) -> None:
        """See more rows, an array `(rows, features)`.

        Raises:
            InputError: no matrix, another number of features than before, or a number that is not finite.
        """
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2:
            raise InputError(f"`rows` must be an array (rows, features). Received: shape {rows.shape}.")
        if not np.isfinite(rows).all():
            raise InputError("`rows` must be finite numbers. Received: NaN or infinity among them.")
        count, features = rows.shape
        if self.count == 0:
            self.mean, self._products = np.zeros(features), np.zeros((features, features))
        elif features != len(self.mean):
            raise InputError(f"`rows` must have {len(self.mean)} features, as before. Received: {features}.")
        if count == 0:
            return
        total = self.count + count
        batch_mean = rows.mean(axis=0)
        centered = rows - batch_mean
        apart = batch_mean - self.mean
        self._products += centered.T @ centered + np.outer(apart, apart) * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    def matrix(self) -> np.ndarray:
        """The covariance `(features, features)`, divided by n - 1.

        Raises:
            InputError: fewer than two rows were seen.
        """
        if self.count < 2:
            raise InputError(f"A covariance needs at least two rows. Received: {self.count}.")
        return self._products / (self.count - 1)


def covariance(batches: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Mean `(features,)` and covariance `(features, features)` of the rows in all `batches`, in float64.

    Args:
        batches: arrays `(rows, features)`.

    Raises:
        InputError: fewer than two rows, rows of unlike length, or numbers that are not finite.

    Example:

    >>> mean, matrix = covariance([np.array([[0.0], [2.0]]), np.array([[4.0]])])
    >>> mean.tolist(), matrix.tolist()
    ([2.0], [[4.0]])
    """
    seen = Covariance()
    for rows in batches:
        seen.update(rows)
    return seen.mean, seen.matrix()
