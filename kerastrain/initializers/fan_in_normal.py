"""A normal start whose deviation is one over the inputs."""

import math
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="kerastrain")
class FanInNormal(keras.initializers.Initializer):
    """Normal with standard deviation `1 / fan_in`.

    `w ~ N(0, 1 / r^2)`, r the inputs of a unit

    Outputs shrink by about `1 / sqrt(r)` a layer: a start for the last layer, or to see signals vanish. The usual
    `1 / sqrt(r)` is Keras's `VarianceScaling(1.0, "fan_in", "untruncated_normal")`; no `VarianceScaling` has 1 / r.

    Args:
        seed: an int, a `keras.random.SeedGenerator`, or None for a seed that is drawn once. As with Keras's
            initializers, an instance draws the same numbers for the same shape, unless its seed is a generator.

    Raises:
        ValueError: `seed` is something else.

    Example:

    >>> weights = FanInNormal(seed=0)((1000, 200))
    >>> round(float(keras.ops.std(weights)), 5)
    0.001

    Reference: Varma, Module I, "Initialization" (a Gaussian with standard deviation 1/r), as the text prints it.
    """

    def __init__(self, seed: Any = None) -> None:
        # Keras's own checks the seed, and keeps it.
        self._normal = keras.initializers.RandomNormal(seed=seed)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Weights of `shape`."""
        inputs = math.prod(shape[:-1]) if len(shape) > 1 else math.prod(shape)
        return self._normal(shape, dtype=dtype) * (1.0 / (self._normal.stddev * inputs))

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._normal.get_config()["seed"]}
