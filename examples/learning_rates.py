"""Four learning rates as loss curves, and what a decay makes of the high one.

Low: the loss falls slowly. Good: it falls fast and far. High: it stays behind. Very high: it is not finite within an
epoch. Halved every two epochs, the high rate catches up with most of what it missed.

KERASTRAIN_CIFAR10=FILE python examples/learning_rates.py [--data NAME|PATH] [--smoke] [--out DIR] [--seed N]
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from kerastrain import datasets, plots, topologies
from kerastrain.optimizers.schedules import PerEpoch, StepDecay

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="cifar10")
parser.add_argument("--smoke", action="store_true", help="synthetic data, one seed, a few steps")
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/learning_rates"), help="a folder")
parser.add_argument("--seed", type=int, default=0, help="the first of three")
RATES = {
    "low, 0.002": 0.002,
    "good, 0.1": 0.1,
    "high, 0.5": 0.5,
    "very high, 2": 2.0,
    "0.5, halved every 2 epochs": None,
}


def losses(rate, data, images, labels, seed, epochs):
    """The loss before training and in each epoch, NaN from where it is not finite."""
    keras.utils.set_random_seed(seed)
    if rate is None:
        rate = PerEpoch(StepDecay(0.5, factor=0.5, step_size=2), steps_per_epoch=-(-len(labels) // 128))
    scale, shape = keras.layers.Rescaling(1 / 127.5, offset=-1), data.image_shape
    model = topologies.mlp_functional(layers=[128, 64], input_shape=shape, classes=data.classes, preprocessing=[scale])
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    found, stop = [model.evaluate(images, labels, batch_size=500, verbose=0)], keras.callbacks.TerminateOnNaN()
    found += model.fit(images, labels, batch_size=128, epochs=epochs, callbacks=[stop], verbose=0).history["loss"]
    return np.pad(found, (0, epochs + 1 - len(found)), constant_values=np.nan)


if __name__ == "__main__":
    given = parser.parse_args()
    data = datasets.load("synthetic" if given.smoke else given.data)
    seeds, epochs, samples = (1, 2, 512) if given.smoke else (3, 12, 20_000)
    images, labels = data.x_train[:samples], data.y_train[:samples]
    found = {
        name: [losses(rate, data, images, labels, given.seed + i, epochs) for i in range(seeds)]
        for name, rate in RATES.items()
    }
    given.out.mkdir(parents=True, exist_ok=True)
    figure = plots.comparison({"training loss": found}, x=range(epochs + 1), limits={"training loss": (None, 2.6)})
    figure.savefig(given.out / "learning_rates.png", dpi=100)
    result = {name: [None if np.isnan(row[-1]) else float(row[-1]) for row in rows] for name, rows in found.items()}
    (given.out / "result.json").write_text(json.dumps({"loss_of_the_last_epoch": result}))
    print(json.dumps({"loss_of_the_last_epoch": result}))
