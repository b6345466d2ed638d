"""The mean of the weights against the last weights: at a constant rate the last ones jitter, their mean does not.

A multilayer perceptron on CIFAR-10 by stochastic gradient descent with momentum, at a rate that never decays. From the
third epoch on the optimizer keeps the Polyak average; both are evaluated on the validation set after each epoch of one
run, and on the test set at the end, for several seeds.

KERASTRAIN_CIFAR10=PATH python examples/polyak.py [--data cifar10|synthetic|PATH] [--smoke] [--out DIR] [--seed N]
"""

import argparse
import json
import pathlib

import keras

from kerastrain import datasets, plots, topologies
from kerastrain.optimizers import ComposedOptimizer, PolyakAveraging, averaged_weights

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="cifar10")
parser.add_argument("--smoke", action="store_true", help="synthetic data, one seed, a few steps")
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/polyak"), help="a folder")
parser.add_argument("--seed", type=int, default=0, help="the first of three")
BATCH, START, LAST, MEAN = 64, 2, "last weights", "Polyak average"


def evaluated(model, part) -> dict[str, dict[str, float]]:
    """Loss and accuracy of the last weights and of the average."""
    last = model.evaluate(part.images, part.labels, batch_size=500, verbose=0, return_dict=True)
    with averaged_weights(model):
        return {LAST: last, MEAN: model.evaluate(part.images, part.labels, batch_size=500, verbose=0, return_dict=True)}


def train(parts, data, seed, epochs, samples):
    """The validation results after each epoch, then the test results."""
    keras.utils.set_random_seed(seed)
    scale = keras.layers.Rescaling(1 / 127.5, offset=-1)
    model = topologies.mlp_functional(
        layers=[256, 128], input_shape=data.image_shape, classes=data.classes, preprocessing=[scale], seed=seed
    )
    average = PolyakAveraging(start_step=START * -(-samples // BATCH))
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.01, momentum=0.9), averaging=average)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    results = []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: results.append(evaluated(model, parts.validation)))
    images, labels = parts.train.images[:samples], parts.train.labels[:samples]
    model.fit(images, labels, batch_size=BATCH, epochs=epochs, callbacks=[keep], verbose=2)
    return results, evaluated(model, parts.test)
