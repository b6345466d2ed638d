"""Batch normalization with epsilon beside the deviation."""

from typing import Any

import keras

from kerastrain.layers.normalization.own_batch_normalization import OwnBatchNormalization

_LEAST_VARIANCE = 1e-30


@keras.saving.register_keras_serializable(package="kerastrain")
class TextbookBatchNormalization(OwnBatchNormalization):
    """Batch normalization that divides by `sigma + epsilon`, as textbooks print it.

    `y = gamma * (x - mu) / (sigma + epsilon) + beta`

    with mu and sigma the mean and the standard deviation of each channel over the batch in training, and of their
    moving averages at inference. `keras.layers.BatchNormalization` (and the paper) divides by `sqrt(sigma^2 +
    epsilon)`: for a channel that hardly varies, its epsilon of 1e-3 is a floor of 0.03 under the deviation, this one's
    a floor of 0.001. Everything else is Keras's: arguments, weights, moving averages.

    Args:
        axis: of the channels.
        momentum: how much of the moving statistics stays at each step, in [0, 1].
        epsilon: added to the deviation, a number > 0.
        **kwargs: what `keras.layers.BatchNormalization` takes, but for `renorm` and `synchronized`.

    Call arguments:
        inputs: a tensor `(batch, ..., channels)`.
        training: whether the batch's own statistics are used, and the moving ones moved.

    Output shape: that of the inputs.

    State: `gamma`, `beta`, and not trained `moving_mean`, `moving_variance`, each `(channels,)`.

    Raises:
        InputError: a number is out of its range, or an argument that has no meaning here is given.

    Example:

    >>> layer = TextbookBatchNormalization(epsilon=0.5)
    >>> [round(float(y), 4) for y in layer(keras.ops.convert_to_tensor([[1.0], [3.0]]), training=True)[:, 0]]
    [-0.6667, 0.6667]

    Reference: Varma, lecture on batch normalization ("divide by the sum of standard deviation and the smoothing term");
    Ioffe and Szegedy, 2015, Batch normalization, arXiv:1502.03167, algorithm 1, has it inside the root.
    """

    # Its own, for `inspect.signature`: in early Pythons 3.11 an inherited one is hidden by Keras's `__new__`.
    def __init__(self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, **kwargs)

    def normalized(self, inputs: Any, mean: Any, variance: Any) -> Any:
        # The root of 0 has no slope, and a channel that never fires would make the gradients NaN.
        deviation = keras.ops.sqrt(keras.ops.maximum(variance, _LEAST_VARIANCE))
        return (inputs - mean) / (deviation + self.epsilon)
