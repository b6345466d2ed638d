"""Clipping saves a recurrent network: at the same rate it learns with clipping and diverges without.

The task is to tell the first of 100 inputs, +1 or -1, after 99 inputs of noise; to guess has a loss of 1. The recurrent
weights begin as 1.01 times the identity, so that gradients explode on their way through time.

python examples/clipping.py [--smoke] [--out DIR] [--seed N]
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from kerastrain import plots
from kerastrain.optimizers import ClipByGlobalNorm, ComposedOptimizer, RecordGradientNorms

VARIANTS = {"clipped, rate 0.01": (0.01, 1.0), "not clipped, rate 0.01": (0.01, None), "not clipped, rate 0.0001": (1e-4, None)}
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--smoke", action="store_true", help="short sequences, one seed, a few steps")
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/clipping"), help="a folder")
parser.add_argument("--seed", type=int, default=0, help="the first of three")


def batches(generator, length, size=32):
    while True:
        first, noise = generator.choice([-1.0, 1.0], (size, 1, 1)), generator.normal(0, 0.3, (size, length - 1, 1))
        yield np.concatenate([first, noise], axis=1).astype("float32"), first[:, 0].astype("float32")


def train(rate, max_norm, seed, steps, length):
    """The loss and the gradient norm of each step, NaN from where they are not finite."""
    keras.utils.set_random_seed(seed)
    near_identity = keras.initializers.Identity(1.01)
    small = keras.initializers.RandomNormal(stddev=0.1)
    recurrent = keras.layers.SimpleRNN(32, "relu", kernel_initializer=small, recurrent_initializer=near_identity)
    model = keras.Sequential([keras.Input((length, 1)), recurrent, keras.layers.Dense(1)])
    norms = RecordGradientNorms()  # the first in the list: before clipping
    transforms = [norms] if max_norm is None else [norms, ClipByGlobalNorm(max_norm)]
    model.compile(ComposedOptimizer(keras.optimizers.SGD(rate), transforms), loss="mse")
    rows = np.full((2, steps), np.nan)

    def keep(epoch, logs):  # An epoch is one step.
        rows[:, epoch] = logs["loss"], norms.read()["global_norm"]

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=keep), keras.callbacks.TerminateOnNaN()]
    model.fit(batches(np.random.default_rng(seed), length), epochs=steps, steps_per_epoch=1, verbose=0, callbacks=callbacks)
    return rows


def main(seeds, steps, length, out):
    found = {name: np.array([train(*variant, seed, steps, length) for seed in seeds]) for name, variant in VARIANTS.items()}
    print("done")
    np.savez('/tmp/ex/clip.npz', **found)

if __name__ == "__main__":
    given = parser.parse_args()
    import time;t=time.time()
    main(range(given.seed, given.seed+3), 2000, 100, given.out)
    print(time.time()-t)
