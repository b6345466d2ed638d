"""Keras's batch normalization with statistics or a quotient of its own."""

from typing import Any

import keras

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError

_NOT_HERE = ("renorm", "renorm_clipping", "renorm_momentum", "synchronized")


class OwnBatchNormalization(keras.layers.BatchNormalization):
    """Base of batch normalizations that differ from Keras's in one formula, and share its weights and arguments.

    A subclass overrides `statistics`, or `normalized`. What looks for Keras's layer (`recalibrate`, frozen statistics
    under `trainable=False`) finds these too.
    """

    def __init__(self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs: Any) -> None:
        refused = [name for name in _NOT_HERE if kwargs.get(name)]
        if refused:
            raise InputError(
                f"`{refused[0]}` is for keras.layers.BatchNormalization only. "
                f"Received: {refused[0]}={kwargs[refused[0]]!r}."
            )
        momentum = number("momentum", momentum, minimum=0, maximum=1)
        super().__init__(axis=axis, momentum=momentum, epsilon=number("epsilon", epsilon, above=0), **kwargs)

    def statistics(self, inputs: Any) -> tuple[Any, Any, Any, Any]:
        """In training: the mean and variance to normalize by, in shapes that broadcast over the inputs, and the mean
        and variance `(channels,)` to move the moving statistics to."""
        axes = self._axes(inputs)
        mean = keras.ops.mean(inputs, axis=axes)
        # Of the deviations: on torch `keras.ops.moments` takes E[x^2] - E[x]^2, which cancels, and below 0 too.
        variance = keras.ops.mean(keras.ops.square(inputs - self._spread(mean, inputs)), axis=axes)
        return self._spread(mean, inputs), self._spread(variance, inputs), mean, variance

    def normalized(self, inputs: Any, mean: Any, variance: Any) -> Any:
        """The normalized inputs, before scale and offset."""
        return (inputs - mean) * keras.ops.rsqrt(variance + self.epsilon)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None:
            raise InputError(f"{type(self).__name__} takes no mask. Use keras.layers.BatchNormalization.")
        # In float32 at least, as Keras does: half precision overflows in the squares.
        wide = keras.ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        if training and self.trainable:
            mean, variance, batch_mean, batch_variance = self.statistics(wide)
            for moving, found in ((self.moving_mean, batch_mean), (self.moving_variance, batch_variance)):
                moving.assign(moving * self.momentum + keras.ops.cast(found, moving.dtype) * (1.0 - self.momentum))
        else:
            mean, variance = (
                self._spread(keras.ops.cast(moving, wide.dtype), wide)
                for moving in (self.moving_mean, self.moving_variance)
            )
        outputs = self.normalized(wide, mean, variance)
        if self.gamma is not None:
            outputs = outputs * self._spread(keras.ops.cast(self.gamma, wide.dtype), wide)
        if self.beta is not None:
            outputs = outputs + self._spread(keras.ops.cast(self.beta, wide.dtype), wide)
        return keras.ops.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in _NOT_HERE:
            config.pop(name, None)
        return config

    def _axes(self, inputs: Any) -> list[int]:
        rank = len(inputs.shape)
        return [axis for axis in range(rank) if axis != self.axis % rank]

    def _spread(self, vector: Any, inputs: Any) -> Any:
        """`vector` `(channels,)` in a shape that broadcasts over the inputs."""
        rank = len(inputs.shape)
        return keras.ops.reshape(vector, [-1 if axis == self.axis % rank else 1 for axis in range(rank)])
