"""Matrices that make features uncorrelated and of variance 1."""

import numpy as np

from kerastrain._core.checks import number, whole_number
from kerastrain._core.errors import InputError


def principal_components(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, largest first, and eigenvectors as columns of a covariance matrix.

    The largest element of each eigenvector is positive, which is scikit-learn's choice; rounding's small negative
    eigenvalues are 0.

    Args:
        matrix: symmetric, `(features, features)`.

    Raises:
        InputError: the matrix is not square, symmetric and finite.

    Example:

    >>> values, vectors = principal_components(np.diag([1.0, 4.0]))
    >>> values.tolist(), vectors.tolist()
    ([4.0, 1.0], [[0.0, 1.0], [1.0, 0.0]])
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    square = matrix.ndim == 2 and len(matrix) > 0 and matrix.shape[0] == matrix.shape[1]
    if not square or not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        raise InputError(f"`matrix` must be a finite symmetric matrix. Received: shape {matrix.shape}.")
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[largest, np.arange(len(values))] < 0, -1.0, 1.0)
    return values, vectors * signs


def pca_whitening_matrix(
    matrix: np.ndarray, components: int | None = None, epsilon: float = 0.0, rounding: np.ndarray | None = None
) -> np.ndarray:
    """W `(features, components)` of `(x - mean) W`: rotation to the principal axes, each divided by its deviation.

    `W = V_k diag(lambda_k + epsilon)^(-1/2)`, with the `components` largest eigenvalues lambda of the covariance

    Args:
        matrix: the covariance `(features, features)`.
        components: how many axes stay, a whole number >= 1; None for all.
        epsilon: added to the eigenvalues, a number >= 0; above 0 it keeps axes that hardly vary from being blown up.
        rounding: the variance of each feature that is rounding's `(features,)`; None for that of float64. An axis
            that varies no more than that counts as one that does not vary.

    Raises:
        InputError: more components than features, or an axis that does not vary and that `epsilon` does not lift.

    Example:

    >>> pca_whitening_matrix(np.diag([1.0, 4.0]), components=1).tolist()
    [[0.0], [0.5]]

    Reference: Kessy, Lewin and Strimmer, 2018, Optimal whitening and decorrelation, The American Statistician 72 (4),
    arXiv:1512.00809, table 1.
    """
    values, vectors = principal_components(matrix)
    components = len(values) if components is None else whole_number("components", components)
    if components > len(values):
        raise InputError(f"`components` must be at most {len(values)}, the features. Received: {components}.")
    values, vectors = values[:components], vectors[:, :components]
    return vectors * _inverse_deviations(values, vectors, epsilon, rounding)


def zca_whitening_matrix(matrix: np.ndarray, epsilon: float = 0.0, rounding: np.ndarray | None = None) -> np.ndarray:
    """W `(features, features)` of `(x - mean) W`: the whitening that changes the features least.

    `W = V diag(lambda + epsilon)^(-1/2) V^T`: PCA whitening, rotated back, so that an image still looks like one

    Args:
        matrix: the covariance `(features, features)`.
        epsilon: added to the eigenvalues, a number >= 0.
        rounding: as for `pca_whitening_matrix`.

    Raises:
        InputError: an axis that does not vary and that `epsilon` does not lift.

    Example:

    >>> zca_whitening_matrix(np.diag([1.0, 4.0])).tolist()
    [[1.0, 0.0], [0.0, 0.5]]

    Reference: Krizhevsky, 2009, Learning multiple layers of features from tiny images, appendix A; Kessy, Lewin and
    Strimmer, 2018, arXiv:1512.00809.
    """
    values, vectors = principal_components(matrix)
    return (vectors * _inverse_deviations(values, vectors, epsilon, rounding)) @ vectors.T


def _inverse_deviations(
    values: np.ndarray, vectors: np.ndarray, epsilon: float, rounding: np.ndarray | None
) -> np.ndarray:
    lifted = values + number("epsilon", epsilon, minimum=0)
    # What rounding leaves of an eigenvalue of 0, here and in the data.
    floor = np.full(len(values), np.finfo(np.float64).eps * len(vectors) * values.max())
    if rounding is not None:
        floor = np.maximum(floor, np.square(vectors).T @ rounding)
    flat = lifted <= floor
    if flat.any():
        raise InputError(
            f"The data do not vary along {flat.sum()} of {len(vectors)} axes, which cannot be made to have variance 1. "
            f"Received: epsilon={epsilon}. Set `epsilon` above {floor[flat].max():.1g}, better to a hundredth of the "
            f"largest variance, {values.max() / 100:.1g}; or keep fewer axes by PCA."
        )
    inverse: np.ndarray = 1.0 / np.sqrt(lifted)
    return inverse
