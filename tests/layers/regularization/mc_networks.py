"""Small networks for Monte Carlo dropout, and what must not change of them."""

import keras
import numpy as np
from layer_probes import BACKEND

VALUES = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)


def network(normalization=keras.layers.BatchNormalization, rate=0.5, **arguments):
    """With batch-norm statistics and weights that are not the initial ones."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, name="first"),
            normalization(name="norm", **arguments),
            keras.layers.Dropout(rate, seed=1),
            keras.layers.Dense(2, name="last"),
        ]
    )
    generator = np.random.default_rng(1)
    model.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    return compiled(model)


def compiled(model):
    """Without XLA where there is a choice, which takes longer than these models run."""
    model.compile(optimizer="sgd", loss="mse", jit_compile=BACKEND == "jax")
    return model


def bytes_of(model):
    return [weight.tobytes() for weight in model.get_weights()]


def flags_of(model):
    """Whether it is trainable, of each layer and variable."""
    layers = [model, *model.layers]
    return [layer.trainable for layer in layers], [variable.trainable for variable in model.variables]


class Batches(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return 3

    def __getitem__(self, index):
        return VALUES[10 * index : 10 * index + 10]
