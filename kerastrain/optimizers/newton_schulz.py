"""The nearest orthogonal matrix, approximately, by matrix products alone."""

from typing import Any

import keras

# Chosen by Jordan et al. (2024) for the steepest rise at 0: singular values end between about 0.7 and 1.2, not at 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


# Steps on the small matrix between two looks at the large one. Where singular values are near 0, the rounding of `A`
# grows by a^2 = 12 a step: after three of float32 it is no more than that of the steps made one by one.
TOGETHER = 3


def newton_schulz(matrix: Any, steps: int, epsilon: float = 1e-7) -> Any:
    """`U S' V^T` of a matrix `U S V^T`, where every singular value in S' is near 1.

    `X <- P X` with `P = a I + b A + c A^2` and `A = X X^T`, `steps` times, from `X = matrix / ||matrix||_F`; of a tall
    matrix the transposed. Since `P` and `A` commute, the next `A` is `P A P`: where the matrix is oblong, three steps
    are made of `A` alone, and `X` is multiplied once by their product. That is half the arithmetic of a convolution's
    kernel, whose one side is nine times the other.

    Args:
        matrix: of two dimensions; a zero matrix stays zero.
        steps: of the iteration, an int >= 1. Five bring singular values above about 0.01 of the norm near 1.
        epsilon: added to the norm.
    """
    ops = keras.ops
    found = matrix / (ops.sqrt(ops.sum(ops.square(matrix))) + epsilon)
    shorter, longer = sorted(matrix.shape)
    wide = matrix.shape[0] == shorter
    # Of a matrix nearly square, `A` is as large as `X`, and nothing is saved; sixteen bits round too much.
    precise = keras.backend.standardize_dtype(matrix.dtype) in ("float32", "float64")
    together = TOGETHER if precise and 2 * longer >= 3 * shorter else 1
    for done in range(0, steps, together):
        other = ops.transpose(found)
        gram = ops.matmul(found, other) if wide else ops.matmul(other, found)
        factor = _product_of_polynomials(gram, min(together, steps - done))
        found = ops.matmul(factor, found) if wide else ops.matmul(found, factor)
    return found


def _product_of_polynomials(gram: Any, steps: int) -> Any:
    a, b, c = COEFFICIENTS
    ops = keras.ops
    identity = ops.eye(gram.shape[0], dtype=gram.dtype)
    product = None
    for step in range(steps):
        # Never three terms in one sum: TensorFlow makes an `AddN` of them, whose order of adding, and with it the last
        # bit, goes by which of the three nobody else still needs. `a I` is shared by all steps and kernels of a size.
        polynomial = a * identity + ops.matmul(gram, b * identity + c * gram)
        product = polynomial if product is None else ops.matmul(product, polynomial)
        if step + 1 < steps:
            gram = ops.matmul(polynomial, ops.matmul(gram, polynomial))
    return product
