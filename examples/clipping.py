"""Clipping saves a recurrent network: at the same rate it learns with clipping and diverges without.

The task is to tell the first of 100 inputs, +1 or -1, after 99 inputs of noise; to guess has a loss of 1. The recurrent
weights begin as 1.01 times the identity: gradients explode on their way through time, at a small rate as well.

python examples/clipping.py [--smoke] [--out DIR] [--seed N]
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from kerastrain import plots
from kerastrain.optimizers import ClipByGlobalNorm, ComposedOptimizer, RecordGradientNorms

VARIANTS = {"rate 0.01, clipped": (0.01, [1.0]), "rate 0.01, not": (0.01, []), "rate 0.0001, not": (1e-4, [])}
PANELS = {"loss": (0.01, 100), "norm of the gradient before clipping": (0.1, 1e6)}
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--smoke", action="store_true", help="short sequences, one seed, a few steps")
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/clipping"), help="a folder")
parser.add_argument("--seed", type=int, default=0, help="the first of three")


def batches(generator, length, size=32):
    while True:
        first, noise = generator.choice([-1.0, 1.0], (size, 1, 1)), generator.normal(0, 0.3, (size, length - 1, 1))
        yield np.concatenate([first, noise], axis=1).astype("float32"), first[:, 0].astype("float32")


def train(rate, max_norms, seed, steps, length):  # the loss and the gradient norm before clipping, of each step
    keras.utils.set_random_seed(seed)
    start = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.1)}
    start["recurrent_initializer"] = keras.initializers.Identity(1.01)
    layers = [keras.Input((length, 1)), keras.layers.SimpleRNN(32, "relu", **start), keras.layers.Dense(1)]
    model, norms, seen = keras.Sequential(layers), RecordGradientNorms(), []
    model.compile(ComposedOptimizer(keras.optimizers.SGD(rate), [norms, *map(ClipByGlobalNorm, max_norms)]), loss="mse")
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(norms.read()["global_norm"]))
    options = {"steps_per_epoch": 1, "callbacks": [keep, keras.callbacks.TerminateOnNaN()], "shuffle": False}
    history = model.fit(batches(np.random.default_rng(seed), length), epochs=steps, verbose=0, **options).history
    return np.pad([history["loss"], seen], [(0, 0), (0, steps - len(seen))], constant_values=np.nan)


if __name__ == "__main__":
    given = parser.parse_args()
    seeds, steps, length = ([0], 20, 30) if given.smoke else ([0, 1, 2], 2000, 100)
    rows = np.array([[train(*how, given.seed + i, steps, length) for i in seeds] for how in VARIANTS.values()])
    places = np.unique(np.geomspace(1, steps, 60, endpoint=False).astype(int))  # a point is a mean up to the next one
    means = np.add.reduceat(rows, places - 1, -1) / np.diff([*places, steps + 1])
    panels = {title: dict(zip(VARIANTS, means[:, :, i], strict=True)) for i, title in enumerate(PANELS)}
    given.out.mkdir(parents=True, exist_ok=True)
    figure = plots.comparison(panels, x=places, x_label="step", log=PANELS, log_x=True, limits=PANELS)
    figure.savefig(given.out / "clipping.png", dpi=100)
    finite = dict(zip(VARIANTS, np.isfinite(rows[:, :, 0]).sum(-1).tolist(), strict=True))
    losses = dict(zip(VARIANTS, rows[:, :, 0, -steps // 10 :].mean(-1).tolist(), strict=True))
    result = json.dumps({"finite_steps": finite, "loss_at_the_end": losses}).replace("NaN", "null")
    (given.out / "result.json").write_text(result)
    print(result)
