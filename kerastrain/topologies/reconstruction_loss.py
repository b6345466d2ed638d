"""A loss that a model takes on inside."""

from typing import Any

import keras

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError


@keras.saving.register_keras_serializable(package="kerastrain")
class ReconstructionLoss(keras.layers.Layer):
    """Adds to the model's loss how far a reconstruction is from what it is to be; passes a third tensor on.

    `weight * mean((target - reconstruction) ** 2)`, over all values of the batch

    Keras's `ActivityRegularization` penalizes one tensor; a distance between two needs `add_loss`, which this is.

    Args:
        weight: of the mean squared error, a number >= 0.
        **kwargs: what `keras.layers.Layer` takes.

    Call arguments:
        inputs: `[target, reconstruction, passed]`, the first two of one shape.

    Output shape: that of `passed`.

    Raises:
        InputError: `weight` is no number >= 0; at the call, the first two differ in shape.

    Example:

    >>> import numpy as np
    >>> layer = ReconstructionLoss(0.5)
    >>> _ = layer([np.zeros((2, 3)), np.full((2, 3), 2.0), np.zeros((2, 1))])
    >>> float(layer.losses[0])
    2.0
    """

    def __init__(self, weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight = number("weight", weight, minimum=0)

    def call(self, inputs: Any) -> Any:
        target, reconstruction, passed = inputs
        if tuple(target.shape[1:]) != tuple(reconstruction.shape[1:]):
            raise InputError(
                f"The target and its reconstruction must have one shape. Received: {tuple(target.shape)} and "
                f"{tuple(reconstruction.shape)}."
            )
        # In float32 whatever the policy: a mean over a whole batch of images.
        difference = keras.ops.cast(target, "float32") - keras.ops.cast(reconstruction, "float32")
        self.add_loss(self.weight * keras.ops.mean(keras.ops.square(difference)))
        return passed

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs[2].shape, dtype=inputs[2].dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight": self.weight}
