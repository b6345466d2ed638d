"""Trials an hour: `kerastrain search` beside a bare `keras_tuner.RandomSearch`, the same short trials at full length.

    python benchmarks/search_speed.py [--trials 32] [--rounds 5] [--quick]

A trial is 3 epochs of an MLP, 32-64-64-10 with dropout, on 2,048 samples in batches of 32, validated on 512 each epoch.
All trials of both have the same values of learning rate, momentum, weight decay and dropout rate, which in the second
row also come with one of three activations, so with three structures. Contenders:

- random_search: keras-tuner as its guide has it, Keras's defaults.
- random_search_steps: the same with `steps_per_execution` as kerastrain chooses it, at its best setting.
- fresh: kerastrain without re-use of compiled models.
- kerastrain: as it comes. Nothing is pruned.

All run once unmeasured before.
"""

import argparse
import contextlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
import numpy as np
from suite import interleaved, median_ratio, write

from kerastrain import tuning
from kerastrain._core import yaml_document
from kerastrain.tuning import hypermodel
from kerastrain.tuning.planning import plan

SAMPLES, VALIDATION, FEATURES, CLASSES = 2048, 512, 32, 10
BATCH, EPOCHS, UNITS = 32, 3, 64

RECIPE = {
    "schema": 1,
    "name": "search_speed",
    "data": {"name": "data.npz", "validation": VALIDATION, "preprocess": "rescale"},
    "model": {"topology": "mlp_sequential", "layers": [UNITS, UNITS], "dropout": 0.1},
    "optimizer": {"rule": {"type": "sgd", "momentum": 0.9, "weight_decay": 1e-4}, "learning_rate": 0.01},
    "training": {"batch_size": BATCH, "epochs": EPOCHS, "precision": "float32"},
}
SPACE: dict[str, dict[str, Any]] = {
    "optimizer.learning_rate": {"type": "float", "min": 1e-4, "max": 1e-1, "scale": "log"},
    "optimizer.rule.momentum": {"type": "float", "min": 0.1, "max": 0.99},
    "optimizer.rule.weight_decay": {"type": "float", "min": 1e-6, "max": 1e-2, "scale": "log"},
    "model.dropout.rate": {"type": "float", "min": 0.05, "max": 0.5},
}
STRUCTURES = {"model.activation": {"type": "choice", "values": ["relu", "tanh", "gelu"]}}


def written(folder: pathlib.Path, trials: int, structures: bool, epochs: int = EPOCHS, **search: Any) -> pathlib.Path:
    """A search file, its recipe and its data, in `folder`; `search` are keys of the file that come on top."""
    generator = np.random.default_rng(0)
    means = generator.normal(0, 40, (CLASSES, FEATURES))
    labels = generator.integers(0, CLASSES, SAMPLES + 2 * VALIDATION)
    pixels = np.clip(128 + means[labels] + generator.normal(0, 60, (len(labels), FEATURES)), 0, 255)
    images = pixels.astype(np.uint8).reshape(-1, 4, 8, 1)
    test = slice(SAMPLES + VALIDATION, None)
    rest = slice(0, SAMPLES + VALIDATION)
    np.savez(folder / "data.npz", x_train=images[rest], y_train=labels[rest], x_test=images[test], y_test=labels[test])
    recipe = {
        **RECIPE,
        "data": {**RECIPE["data"], "name": str(folder / "data.npz")},  # type: ignore[dict-item]
        "training": {**RECIPE["training"], "epochs": epochs},  # type: ignore[dict-item]
    }
    (folder / "recipe.yaml").write_text(yaml_document.dump(recipe))
    document = {
        "schema": 1,
        "name": "search_speed",
        "recipe": "recipe.yaml",
        "objective": {"metric": "val_loss", "mode": "min"},
        "search": {"strategy": "random", "max_trials": trials, "seed": 0},
        "space": SPACE | (STRUCTURES if structures else {}),
        **search,
    }
    (folder / "search.yaml").write_text(yaml_document.dump(document))
    return folder / "search.yaml"


class BareHyperModel(keras_tuner.HyperModel):
    """The same network and values in a hypermodel as keras-tuner's guide has it.

    Args:
        trials: the values of each trial; keras-tuner's own draws would be others.
        steps: steps per execution.
    """

    def __init__(self, trials: list[dict[str, Any]], steps: int) -> None:
        super().__init__()
        self.trials, self.steps, self.built = trials, steps, 0

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """A fresh model. The first is built to find the space."""
        hp.Float("learning_rate", 1e-4, 1e-1, sampling="log")
        hp.Float("momentum", 0.1, 0.99)
        hp.Float("weight_decay", 1e-6, 1e-2, sampling="log")
        hp.Float("dropout", 0.05, 0.5)
        hp.Choice("activation", ["relu", "tanh", "gelu"])
        values = self.trials[max(0, self.built - 1)]
        self.built += 1
        activation, rate = values.get("model.activation", "relu"), values["model.dropout.rate"]
        layers: list[Any] = [keras.Input((4, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        for _ in range(2):
            layers += [keras.layers.Dense(UNITS, activation=activation), keras.layers.Dropout(rate)]
        model = keras.Sequential([*layers, keras.layers.Dense(CLASSES, activation="softmax")])
        optimizer = keras.optimizers.SGD(
            values["optimizer.learning_rate"],
            momentum=values["optimizer.rule.momentum"],
            weight_decay=values["optimizer.rule.weight_decay"],
        )
        model.compile(
            optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=self.steps
        )
        return model


def contenders(path: pathlib.Path, trials: int) -> dict[str, Callable[[], object]]:
    """Name -> the whole search."""
    values = list(plan(tuning.load_config(path)).trials)
    steps = min(64, SAMPLES // BATCH)
    with np.load(path.parent / "data.npz") as data:
        x, y = data["x_train"], data["y_train"]
    train, validation = (x[:SAMPLES], y[:SAMPLES]), (x[SAMPLES:], y[SAMPLES:])

    def bare(steps: int) -> None:
        keras.utils.clear_session()
        with tempfile.TemporaryDirectory() as folder:
            tuner = keras_tuner.RandomSearch(
                BareHyperModel(values, steps), "val_loss", max_trials=trials, seed=1, directory=folder
            )
            tuner.search(*train, batch_size=BATCH, epochs=EPOCHS, validation_data=validation, verbose=0)
            assert len(tuner.oracle.trials) == trials

    def ours(reuse: int) -> None:
        made = hypermodel.RecipeHyperModel.__init__.__defaults__
        hypermodel.RecipeHyperModel.__init__.__defaults__ = (reuse,)
        try:
            with tempfile.TemporaryDirectory() as folder, quiet():
                result = tuning.search(path, out=pathlib.Path(folder) / "out", max_trials=trials)
        finally:
            hypermodel.RecipeHyperModel.__init__.__defaults__ = made
        assert [trial.status for trial in result.trials] == ["completed"] * trials

    return {
        "random_search": lambda: bare(1),
        "random_search_steps": lambda: bare(steps),
        "fresh": lambda: ours(0),
        "kerastrain": lambda: ours(4),
    }


@contextlib.contextmanager
def quiet() -> Any:
    """Without the progress of a search, which goes to stderr."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def measured(trials: int, rounds: int, structures: bool) -> dict[str, Any]:
    """One row."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(pathlib.Path(folder), trials, structures)
        timings = interleaved(contenders(path, trials), rounds)
    facts = {name: timing.facts(3600 * trials, "trials") for name, timing in timings.items()}
    for row in facts.values():
        row["trials_per_hour"] = row.pop("trials_per_second")
    return {
        "structures": 3 if structures else 1,
        "trials": trials,
        "rounds": rounds,
        "contenders": facts,
        "times_as_many_trials_an_hour": {
            name: median_ratio(timings[name], timings["kerastrain"]) for name in timings if name != "kerastrain"
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="2 trials of the second row, one round, nothing written: that it runs"
    )
    arguments = parser.parse_args()
    trials, rounds = (2, 1) if arguments.quick else (arguments.trials, arguments.rounds)
    rows = []
    for structures in (True,) if arguments.quick else (False, True):
        rows.append(measured(trials, rounds, structures))
        print(f"{rows[-1]['structures']} structures: {rows[-1]['times_as_many_trials_an_hour']}", file=sys.stderr)
    if arguments.quick:
        print(rows)
    else:
        print(write("search_speed", rows))


if __name__ == "__main__":
    main()
