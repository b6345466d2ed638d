"""Microseconds a step of `fit` on a tiny model: Keras's `compile` as it is, and `kerastrain.fast_compile`.

    python benchmarks/fit_overhead.py [--backends tensorflow jax] [--repeats 5] [--quick]

Dense layers 16-16-4, batch 32, five epochs of 2,000 steps from arrays: less than a microsecond of arithmetic, so what
is measured is the loop. Each backend has a process of its own; tracing is not counted, and what `fit` does once, before
its first step, is divided among 10,000. Torch has no loop to compile.
"""

import argparse
import json
import os
import subprocess
import sys

BATCH, STEPS, EPOCHS = 32, 2_000, 5
QUICK_EPOCHS = 1


def contenders(epochs):
    import keras
    import numpy as np

    import kerastrain

    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(BATCH * STEPS, 16)).astype(np.float32), generator.integers(0, 4, BATCH * STEPS)

    def made(fast):
        keras.utils.set_random_seed(0)
        layers = [keras.Input((16,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(4, "softmax")]
        model = keras.Sequential(layers)
        arguments = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
        if fast:
            kerastrain.fast_compile(model, **arguments, batch_size=BATCH, steps_per_epoch=STEPS, precision="float32")
        else:
            model.compile(**arguments)
        return lambda: model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)

    return {"compile": made(False), "fast_compile": made(True)}


def one(repeats, epochs):
    """The rows of the backend of this process, as JSON on stdout."""
    from suite import interleaved, median_ratio

    timings = interleaved(contenders(epochs), repeats)
    rows = [
        {
            "backend": os.environ["KERAS_BACKEND"],
            "contender": name,
            **timing.facts(epochs * STEPS, "steps"),
            "microseconds_a_step": round(timing.facts(1, "fits")["wall_seconds"] / (epochs * STEPS) * 1e6, 1),
            "times_less_than_compile": median_ratio(timings["compile"], timing),
        }
        for name, timing in timings.items()
    ]
    print(json.dumps(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one repeat of one epoch, nothing written")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.repeats, QUICK_EPOCHS if arguments.quick else EPOCHS)
        return
    repeats, rows = 1 if arguments.quick else arguments.repeats, []
    for backend in arguments.backends:
        environment = {**os.environ, "KERAS_BACKEND": backend}
        command = [sys.executable, __file__, "--one", "--repeats", str(repeats), *["--quick"] * arguments.quick]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        rows += json.loads(done.stdout.splitlines()[-1])
    if arguments.quick:
        print(json.dumps(rows, indent=2))
        return
    from suite import write

    write("fit_overhead", rows)


if __name__ == "__main__":
    main()
