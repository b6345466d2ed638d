"""The random map whose mean is the GELU."""

from typing import Any

import keras


def stochastic_gelu(x: Any, seed: Any = None) -> Any:
    """Each value kept with the probability that a standard normal one is smaller, else 0.

    `y = m x` with m 1 with probability `Phi(x)`, else 0; its expectation is `x Phi(x)`, the GELU

    A dropout whose rate depends on the value. The gradient is m: that of the draw that was made. It draws whenever it
    is called; in a model, `kerastrain.layers.StochasticGELU` tells training from inference.

    Args:
        x: a tensor of any shape.
        seed: an int, a `keras.random.SeedGenerator`, or None for the global one.

    Returns:
        A tensor of the shape of `x`.

    Example:

    >>> drawn = stochastic_gelu(keras.ops.ones((10_000,)), seed=0)
    >>> round(float(keras.ops.mean(drawn)), 1)  # Phi(1) = 0.84
    0.8

    Reference: Hendrycks and Gimpel, 2016, arXiv:1606.08415, section 2 (the "SOI map" of its first version).
    """
    x = keras.ops.convert_to_tensor(x)
    wide = keras.ops.cast(x, "float32")
    probability = 0.5 * (1.0 + keras.ops.erf(wide * 0.5**0.5))
    drawn = keras.random.uniform(keras.ops.shape(x), dtype="float32", seed=seed)
    # What is no number has no probability either; asked this way around it stays what it is.
    return keras.ops.where(drawn >= keras.ops.stop_gradient(probability), keras.ops.zeros_like(x), x)
