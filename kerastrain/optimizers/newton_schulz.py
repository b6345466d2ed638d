"""The nearest orthogonal matrix, approximately, by matrix products alone."""

from typing import Any

import keras

# Chosen by Jordan et al. (2024) for the steepest rise at 0: singular values end between about 0.7 and 1.2, not at 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def newton_schulz(matrix: Any, steps: int, epsilon: float = 1e-7) -> Any:
    """`U S' V^T` of a matrix `U S V^T`, where every singular value in S' is near 1.

    `X <- a X + (b A + c A^2) X` with `A = X X^T`, `steps` times, from `X = matrix / ||matrix||_F`. Products are made
    on the shorter side.

    Args:
        matrix: of two dimensions; a zero matrix stays zero.
        steps: of the iteration, an int >= 1. Five bring singular values above about 0.01 of the norm near 1.
        epsilon: added to the norm.
    """
    a, b, c = COEFFICIENTS
    ops = keras.ops
    found = matrix / (ops.sqrt(ops.sum(ops.square(matrix))) + epsilon)
    wide = matrix.shape[0] < matrix.shape[1]
    for _ in range(steps):
        other = ops.transpose(found)
        gram = ops.matmul(found, other) if wide else ops.matmul(other, found)
        polynomial = b * gram + c * ops.matmul(gram, gram)
        found = a * found + (ops.matmul(polynomial, found) if wide else ops.matmul(found, polynomial))
    return found
