"""One of each public layer, made afresh on each call, and the inputs it takes."""

import keras
import numpy as np

from kerastrain import layers, topologies

IMAGES = np.random.default_rng(0).normal(size=(16, 8, 8, 4)).astype(np.float32)
VECTORS = np.random.default_rng(1).normal(size=(16, 6)).astype(np.float32)


def small_classifier():
    inputs = keras.Input((8, 8, 4))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))


MAKE = {
    "layers.DropBlock2D": (lambda: layers.DropBlock2D(0.2, block_size=3, seed=1), IMAGES),
    "layers.DropConnect": (lambda: layers.DropConnect(keras.layers.Conv2D(3, 3), 0.3, seed=1), IMAGES),
    "layers.FusedBatchNormalization": (lambda: layers.FusedBatchNormalization(momentum=0.5), IMAGES),
    "layers.GELU": (lambda: layers.GELU("sigmoid"), VECTORS),
    "layers.GhostBatchNormalization": (lambda: layers.GhostBatchNormalization(3, momentum=0.5), IMAGES),
    "layers.Maxout": (lambda: layers.Maxout(2), IMAGES),
    "layers.MeanCentering": (lambda: layers.MeanCentering().adapt(IMAGES), IMAGES),
    "layers.MinMaxScaling": (lambda: layers.MinMaxScaling(-1.0, 2.0, axis=(1, 3)).adapt(IMAGES), IMAGES),
    "layers.NonNegativeShift": (lambda: layers.NonNegativeShift(axis=None).adapt(IMAGES), IMAGES),
    "layers.PCAWhitening": (lambda: layers.PCAWhitening(4, epsilon=0.01).adapt(VECTORS), VECTORS),
    "layers.PReLU": (lambda: layers.PReLU(0.5), IMAGES),
    "layers.SmallImageConv2D": (lambda: layers.SmallImageConv2D(3, 3, padding="same"), IMAGES),
    "layers.StochasticDepth": (lambda: layers.StochasticDepth(0.2, seed=1), IMAGES),
    "layers.StochasticGELU": (lambda: layers.StochasticGELU(seed=1), VECTORS),
    "layers.TestTimeAugmentation": (lambda: layers.TestTimeAugmentation(small_classifier(), shift=2), IMAGES),
    "layers.TextbookBatchNormalization": (lambda: layers.TextbookBatchNormalization(epsilon=0.1), IMAGES),
    "layers.TextbookDropout": (lambda: layers.TextbookDropout(0.3, seed=1), VECTORS),
    "layers.TiedDense": (lambda: layers.TiedDense(3, activation="tanh"), VECTORS),
    "layers.VariableRateDropout": (lambda: layers.VariableRateDropout(0.3, seed=1), VECTORS),
    "layers.ZCAWhitening": (lambda: layers.ZCAWhitening(epsilon=0.1).adapt(VECTORS), VECTORS),
    "topologies.VotingLayer": (
        lambda: topologies.VotingLayer("weighted", weights=[1.0] * 8),
        keras.ops.convert_to_numpy(keras.ops.softmax(IMAGES[:, 0])),
    ),
}
