"""Layers with a kernel, and inputs whose answers are its rows."""

import keras
import numpy as np
import pytest
from layer_probes import array

RATE = 0.3
FAR_FROM_ZERO = keras.initializers.RandomUniform(0.5, 1.5, seed=0)
OPTIONS = {"kernel_initializer": FAR_FROM_ZERO, "bias_initializer": keras.initializers.RandomNormal(seed=1)}


def units(*shape):
    """A batch of inputs of this shape, each 1 at one place and 0 elsewhere: the outputs are the rows of the kernel."""
    size = int(np.prod(shape))
    return np.eye(size, dtype=np.float32).reshape(size, *shape)


def dense():
    return keras.layers.Dense(50, **OPTIONS), units(40), lambda kernel: kernel


def einsum_dense():
    layer = keras.layers.EinsumDense(
        "abc,cd->abd",
        output_shape=(None, 50),
        bias_axes="d",
        kernel_initializer=FAR_FROM_ZERO,
        bias_initializer=OPTIONS["bias_initializer"],
    )
    return layer, units(1, 40), lambda kernel: kernel.reshape(40, 1, 50)


def convolution_1d():
    return keras.layers.Conv1D(60, 3, **OPTIONS), units(3, 10), lambda kernel: kernel.reshape(30, 1, 60)


def convolution_2d():
    return keras.layers.Conv2D(60, (3, 2), **OPTIONS), units(3, 2, 5), lambda kernel: kernel.reshape(30, 1, 1, 60)


def depthwise_convolution():
    def rows(kernel):
        # (rows, columns, channels, multiplier): an input of channel c speaks to the outputs of c alone.
        found = np.zeros((*kernel.shape[:3], kernel.shape[2], kernel.shape[3]), np.float32)
        for channel in range(kernel.shape[2]):
            found[:, :, channel, channel] = kernel[:, :, channel]
        return found.reshape(-1, 1, 1, kernel.shape[2] * kernel.shape[3])

    layer = keras.layers.DepthwiseConv2D(
        (4, 4),
        depth_multiplier=8,
        depthwise_initializer=FAR_FROM_ZERO,
        bias_initializer=OPTIONS["bias_initializer"],
    )
    return layer, units(4, 4, 10), rows


def transposed_convolution():
    layer = keras.layers.Conv2DTranspose(20, (3, 2), **OPTIONS)
    return layer, units(1, 1, 15), lambda kernel: kernel.transpose(3, 0, 1, 2)


LAYERS = [dense, einsum_dense, convolution_1d, convolution_2d, depthwise_convolution, transposed_convolution]
each_layer = pytest.mark.parametrize("make", LAYERS, ids=lambda make: make.__name__)


def trained(layer, values):
    return array(layer(keras.ops.convert_to_tensor(values), training=True))


def weights(layer):
    """Kernel and bias of the wrapped layer."""
    return array(layer.layer.kernel), array(layer.layer.bias)
