"""Signals through 20 dense layers: sigmoid, tanh and ReLU by five initializations, and 0.25^r beside the sigmoid's.

Too small weights let activations and gradients vanish, too large ones saturate sigmoid and tanh, and explode ReLU.
Xavier's rule keeps tanh level, He's ReLU; a sigmoid's gradient falls by 0.25 a layer even where its weights are level.

python examples/vanishing_gradients.py [--smoke] [--out DIR] [--seed N]
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from kerastrain import plots
from kerastrain.diagnostics import signal_propagation

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--smoke", action="store_true", help="one seed, a small network")
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/vanishing_gradients"), help="a folder")
parser.add_argument("--seed", type=int, default=0, help="the first of three")
INITIALIZERS = {
    "zero": "zeros",
    "small: std 0.01": keras.initializers.RandomNormal(stddev=0.01),
    "large: std 0.5": keras.initializers.RandomNormal(stddev=0.5),
    "Xavier": "glorot_normal",
    "He": "he_normal",
}


def signals(activation, initializer, seed, depth, width):
    """Deviations of activations and of gradients, each an array with one number a layer."""
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(width, activation, kernel_initializer=initializer) for _ in range(depth)]
    model = keras.Sequential([keras.Input((width,)), *layers])
    found = signal_propagation(model, np.random.default_rng(seed).normal(size=(256, width)), seed=seed)
    return [[s.activation_standard_deviation for s in found], [s.gradient_standard_deviation for s in found]]


if __name__ == "__main__":
    given = parser.parse_args()
    seeds, depth, width = (1, 4, 16) if given.smoke else (3, 20, 256)
    table = {
        activation: {
            name: np.array([signals(activation, initializer, given.seed + i, depth, width) for i in range(seeds)])
            for name, initializer in INITIALIZERS.items()
        }
        for activation in ("sigmoid", "tanh", "relu")
    }
    given.out.mkdir(parents=True, exist_ok=True)
    for place, what in enumerate(("activation", "gradient")):
        panels = {f"{a}: {what}": {name: rows[:, place] for name, rows in found.items()} for a, found in table.items()}
        if what == "gradient":
            panels["sigmoid: gradient"]["0.25^r"] = 0.25 ** np.arange(depth - 1, -1, -1)
        figure = plots.comparison(panels, x_label="layer", log=panels, title=f"standard deviation of the {what}s")
        figure.savefig(given.out / f"{what}s.png", dpi=80)
    first = {a: {name: np.median(rows[:, 1, 0]) for name, rows in found.items()} for a, found in table.items()}
    ratio = table["sigmoid"]["Xavier"][:, 1, 1:] / table["sigmoid"]["Xavier"][:, 1, :-1]
    print(json.dumps({"gradient_at_the_first_layer": first, "sigmoid_ratio_of_neighbors": float(np.median(ratio))}))
