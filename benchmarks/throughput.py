"""Images a second of `kerastrain train` and of the same network in a plain Keras script.

    python benchmarks/throughput.py [--data cifar10|synthetic] [--repeats 5]

The plain script is what the course writes: float32 arrays scaled on the host, `compile` and `fit` with Keras's
defaults, the same topology, optimizer, batch size, samples and validation. kerastrain does what `train` does (uint8
scaled in the graph, its own sample order, history and TensorBoard logs), once in float32, which is the comparison at
equal precision, and once with `precision: bfloat16`, reported apart. Nobody augments. Tracing is not counted: every
contender has trained once before.
"""

import argparse
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np
from suite import interleaved, median_ratio, write

from kerastrain import datasets, experiments, topologies

CASES = {
    "mlp_sequential": {"data.train_limit": 5000, "training.epochs": 4},
    "convnet": {"data.train_limit": 5120, "training.epochs": 1, "data.validation": 512},
    "residual": {"data.train_limit": 5120, "training.epochs": 1, "data.validation": 512},
}


def kerastrain_contender(recipe: experiments.Recipe, data: experiments.PreparedData, logs: pathlib.Path) -> Any:
    """A training of the recipe, again and again with one compiled model."""
    model = experiments.build(recipe, data)
    return lambda: experiments.fit(
        recipe, model, data, callbacks=[keras.callbacks.TensorBoard(logs, write_graph=False)]
    )


def plain_contender(recipe: experiments.Recipe) -> Any:
    """The same training as a plain Keras script does it."""
    plain = recipe.plain()
    data = experiments.prepare(recipe)
    x, y = np.asarray(data.train[0], np.float32) / 255, data.train[1]
    validation = (np.asarray(data.validation[0], np.float32) / 255, data.validation[1])
    arguments = {key: value for key, value in plain["model"].items() if key != "topology"}
    model = getattr(topologies, plain["model"]["topology"])(**arguments)
    model.compile(
        keras.optimizers.get({"class_name": plain["optimizer"]["rule"]["type"], "config": {"learning_rate": 0.01}}),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training = {"batch_size": recipe.training.batch_size, "epochs": recipe.training.epochs, "verbose": 0}
    return lambda: model.fit(x, y, validation_data=validation, **training)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    datasets.load(arguments.data)
    rows = []
    for name, changes in CASES.items():
        fixed = {"data.name": arguments.data, "data.augment": {}, "data.preprocess": "rescale"}
        simple = {"optimizer.learning_rate": 0.01, "optimizer.gradient_transforms": [], "optimizer.groups": []}
        recipes = {
            precision: experiments.load(name, {**fixed, **simple, **changes, "training.precision": precision})
            for precision in ("float32", "bfloat16")
        }
        data = experiments.prepare(recipes["float32"])
        with tempfile.TemporaryDirectory() as logs:
            timings = interleaved(
                {
                    "plain Keras, float32": plain_contender(recipes["float32"]),
                    "kerastrain, float32": kerastrain_contender(recipes["float32"], data, pathlib.Path(logs)),
                    "kerastrain, bfloat16": kerastrain_contender(recipes["bfloat16"], data, pathlib.Path(logs)),
                },
                arguments.repeats,
            )
        images = len(data.train[1]) * recipes["float32"].training.epochs
        plain = timings["plain Keras, float32"]
        rows.append(
            {
                "recipe": name,
                "images": images,
                "contenders": {label: timing.facts(images, "images") for label, timing in timings.items()},
                "speed_relative_to_plain": {
                    label: median_ratio(plain, timing) for label, timing in timings.items() if timing is not plain
                },
            }
        )
    print(write("throughput", rows))


if __name__ == "__main__":
    main()
