"""Callbacks driven by hand, epoch by epoch, and what their tests share."""

import types

import keras
import numpy as np


def fake_model(**attributes):
    """What callbacks ask of a model when there is nothing to train."""
    return types.SimpleNamespace(stop_training=False, **attributes)


def driven(callback, epochs, model=None, first=0, state=None):
    """Give a callback the logs of epochs until it stops; returns the number of epochs it has seen.

    `state` is loaded after `on_train_begin`, as a checkpoint does on a resume at the epoch `first`.
    """
    model = fake_model() if model is None else model
    callback.set_model(model)
    callback.on_train_begin()
    if state is not None:
        callback.load_state_dict(state)
    for count, logs in enumerate(epochs, 1):
        callback.on_epoch_begin(first + count - 1)
        callback.on_epoch_end(first + count - 1, dict(logs))
        if model.stop_training:
            return count
    return len(epochs)


def network(optimizer, dropout=0.0, **options):
    """A small model with batch normalization and, when asked, dropout; always the same start."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((3,)),
        keras.layers.Dense(4, activation="tanh", name="trunk"),
        keras.layers.BatchNormalization(momentum=0.5, name="norm"),
        keras.layers.Dropout(dropout, seed=1),
        keras.layers.Dense(2, name="head", dtype="float32"),
    ]
    model = keras.Sequential(layers, name="network")
    model.compile(optimizer, loss="mse", **options)
    return model


def everything(model):
    """Every bit of the training's state: weights, statistics, seeds, the optimizer's variables."""
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(variable)).tobytes() for variable in variables]


class AtEpochEnd(keras.callbacks.Callback):
    """Keeps what `read(model)` returns at the end of each epoch."""

    def __init__(self, read):
        super().__init__()
        self.read = read
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        self.found.append(self.read(self.model))
