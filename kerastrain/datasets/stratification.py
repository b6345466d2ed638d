"""Seeded stratified choice: every class gives its share, and the total is exact."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def stratified_counts(per_class: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """How many of `total` each class gives, by largest remainders (equal remainders: the lower class first).

    `q_c = total * n_c / n`; each class gives `floor(q_c)`, and the classes with the largest fractions one more.

    Example:

    >>> stratified_counts(np.array([5, 3, 2]), 4).tolist()  # quotas 2.0, 1.2, 0.8
    [2, 1, 1]
    """
    # Whole numbers throughout: the outcome must not hang on a rounding error.
    counts, remainders = np.divmod(total * per_class, per_class.sum())
    missing = total - int(counts.sum())
    counts[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return counts


def stratified_choice(labels: NDArray[Any], total: int, classes: int, seed: int) -> NDArray[np.int64]:
    """Sorted indices of `total` labels, stratified: a pure function of its arguments."""
    generator = np.random.default_rng(seed)
    counts = stratified_counts(np.bincount(labels, minlength=classes), total)
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:count] for label, count in enumerate(counts.tolist())
    ]
    return np.sort(np.concatenate(chosen))
