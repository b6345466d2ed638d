"""The Polyak average against the last weights: the mean of what one run walks through classifies better than its end.

A multilayer perceptron by gradient descent with momentum, at a rate that never decays, is averaged from the third epoch
on. Both are evaluated after each epoch of the same run, and on the test set at the end.

KERASTRAIN_CIFAR10=FILE python examples/polyak.py [--data NAME|PATH] [--smoke] [--out DIR] [--seed N]
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from kerastrain import datasets, plots, topologies
from kerastrain.optimizers import ComposedOptimizer, PolyakAveraging, averaged_weights

METRICS, WEIGHTS = ["loss", "accuracy"], ["last weights", "Polyak average"]
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="cifar10")
parser.add_argument("--smoke", action="store_true", help="synthetic data, one seed, a few steps")
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/polyak"), help="a folder")
parser.add_argument("--seed", type=int, default=0, help="the first of three")


def train(data, parts, seed, epochs):
    """Loss and accuracy of the last weights and of their average after each epoch, then on the test set."""
    keras.utils.set_random_seed(seed)
    scale, shape = keras.layers.Rescaling(1 / 127.5, offset=-1), data.image_shape
    model = topologies.mlp_functional(layers=[256, 128], input_shape=shape, classes=data.classes, preprocessing=[scale])
    average = PolyakAveraging(start_step=epochs // 4 * -(-len(parts.train) // 64))
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.01, momentum=0.9), averaging=average)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    results = []

    def evaluate(epoch, logs=None, part=parts.validation):
        last = model.evaluate(part.images, part.labels, batch_size=500, verbose=0)
        with averaged_weights(model):
            results.append([last, model.evaluate(part.images, part.labels, batch_size=500, verbose=0)])

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=evaluate)]
    model.fit(parts.train.images, parts.train.labels, batch_size=64, epochs=epochs, callbacks=callbacks, verbose=2)
    evaluate(epochs, part=parts.test)
    return results


if __name__ == "__main__":
    given = parser.parse_args()
    data = datasets.load("synthetic" if given.smoke else given.data)
    parts = datasets.split(data, 0.96 if given.smoke else 5000, seed=0)
    seeds, epochs = (1, 4) if given.smoke else (3, 8)
    results = np.array([train(data, parts, given.seed + i, epochs) for i in range(seeds)])  # seed, row, weights, metric
    curves = results[:, :-1].transpose(3, 2, 0, 1)
    panels = {f"validation {m}": dict(zip(WEIGHTS, curves[i], strict=True)) for i, m in enumerate(METRICS)}
    given.out.mkdir(parents=True, exist_ok=True)
    plots.comparison(panels).savefig(given.out / "polyak.png", dpi=100)
    test = {name: dict(zip(METRICS, results[:, -1, k].T.tolist(), strict=True)) for k, name in enumerate(WEIGHTS)}
    (given.out / "result.json").write_text(json.dumps({"test": test}))
    print(json.dumps({"test": test}))
