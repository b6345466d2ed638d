"""TensorFlow's batch normalization kernel, which Keras does not use."""

import importlib
from typing import Any

import keras

from kerastrain._core import accelerator

# cuDNN takes no smaller one.
_LEAST_EPSILON_ON_GPU = 1.001e-5


def can_normalize(inputs: Any, epsilon: float) -> bool:
    """Whether the kernel is for this backend, these inputs and this epsilon."""
    if keras.backend.backend() != "tensorflow" or isinstance(inputs, keras.KerasTensor):
        return False
    if len(inputs.shape) != 4 or keras.backend.standardize_dtype(inputs.dtype) == "float64":
        return False
    return epsilon >= _LEAST_EPSILON_ON_GPU or accelerator.device_name() is None


def normalized(inputs: Any, *, gamma: Any, beta: Any, moving: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """The normalized inputs, and mean and variance of the batch, both float32.

    Args:
        inputs: `(batch, height, width, channels)`.
        gamma, beta: variables `(channels,)`; None for 1 and 0.
        moving: mean and variance to normalize by; None for the batch's own.
        epsilon: added to the variance.
    """
    tensorflow: Any = importlib.import_module("tensorflow")
    channels = inputs.shape[-1]
    ones, zeros = tensorflow.ones((channels,)), tensorflow.zeros((channels,))
    empty = tensorflow.zeros((0,))
    mean, variance = (empty, empty) if moving is None else (keras.ops.cast(value, "float32") for value in moving)
    outputs, mean, variance, *_ = tensorflow.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=ones if gamma is None else keras.ops.cast(gamma, "float32"),
        offset=zeros if beta is None else keras.ops.cast(beta, "float32"),
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=moving is None,
    )
    # The kernel tells the unbiased variance; Keras's layers keep the other.
    count = tensorflow.cast(tensorflow.size(inputs) // channels, "float32")
    return outputs, mean, variance * (count - 1) / count
