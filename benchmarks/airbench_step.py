"""Seconds of one training step of the speed run's network: stock Keras in float32 and bfloat16, and kerastrain.

    python benchmarks/airbench_step.py [--batch 256] [--rounds 9] [--quick]

The same network (2M parameters), loss, Nesterov momentum and batch for all, each compiled as it comes, `train_on_batch`
without metrics. Stock is Keras's own layers, `keras.activations.gelu` and `keras.optimizers.SGD`. kerastrain is the
recipe `cifar_speedrun`, its optimizer with groups included, in float32 and in bfloat16, with the exact GELU that it
has, and with the approximation by a sigmoid. `convolutions` is the stock network without normalization and activation
in bfloat16: the floor of Keras's own convolutions and poolings here. On a processor without bfloat16 only what is in
float32 is measured; set `TF_ENABLE_ONEDNN_OPTS=1` there, as `kerastrain train` does (`benchmarks/onednn.py`).
"""

import argparse
from collections.abc import Callable

import keras
import numpy as np
from suite import best_precision, interleaved, median_ratio, write

from kerastrain import experiments, layers, topologies

STOCK = {"type": "batch", "momentum": 0.6, "epsilon": 1e-12, "scale": False}


def as_keras_has_it(layer: keras.Layer) -> keras.Layer:
    """Keras's own layer in place of one of ours that computes the same in another way."""
    config = layer.get_config()
    if isinstance(layer, layers.SmallImageConv2D):
        return keras.layers.Conv2D.from_config({name: value for name, value in config.items() if name != "winograd"})
    return type(layer).from_config(config)


def stock(policy: str, bare: bool = False) -> keras.Model:
    """The network of Keras's own layers; `bare` without normalization and activation."""
    keras.config.set_dtype_policy(policy)
    try:
        whitening = keras.layers.Conv2D(24, 2, use_bias=False, trainable=False, kernel_initializer="orthogonal")
        model = topologies.airbench(
            normalization=None if bare else STOCK,
            activation=None if bare else keras.activations.gelu,
            preprocessing=[keras.layers.Rescaling(1 / 255), whitening],
            seed=0,
        )
        model = keras.models.clone_model(model, clone_function=as_keras_has_it)
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.SGD(0.01, momentum=0.85, nesterov=True), "sparse_categorical_crossentropy")
    return model


def ours(precision: str, **changes: object) -> keras.Model:
    """The recipe's model, as it trains."""
    changes = {f"model.{key}": value for key, value in changes.items()}
    recipe = experiments.load("cifar_speedrun", {"data.name": "synthetic", "training.precision": precision, **changes})
    return experiments.build(recipe, experiments.prepare(recipe))


def step(model: keras.Model, batch: int) -> Callable[[], object]:
    generator = np.random.default_rng(0)
    size = model.input_shape[1:]
    x, y = generator.integers(0, 256, (batch, *size), dtype=np.uint8), generator.integers(0, 10, batch)
    return lambda: model.train_on_batch(x, y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="16 images, one round, nothing written: that it runs")
    arguments = parser.parse_args()
    batch, rounds = (16, 1) if arguments.quick else (arguments.batch, arguments.rounds)
    models = {
        "stock float32": stock("float32"),
        "stock mixed_bfloat16": stock("mixed_bfloat16"),
        "kerastrain float32": ours("float32"),
        "kerastrain bfloat16": ours("bfloat16"),
        "kerastrain bfloat16, GELU by sigmoid": ours("bfloat16", activation={"type": "gelu", "approximate": "sigmoid"}),
        "convolutions bfloat16": stock("mixed_bfloat16", bare=True),
    }
    if not arguments.quick and best_precision() == "float32":
        models = {name: model for name, model in models.items() if "bfloat16" not in name}
    timings = interleaved({name: step(model, batch) for name, model in models.items()}, rounds)
    bfloat16 = timings.get("stock mixed_bfloat16")
    rows = [
        {
            "contender": name,
            "batch": batch,
            "parameters": models[name].count_params(),
            **timing.facts(batch, "images"),
            "of_stock_float32": median_ratio(timing, timings["stock float32"]),
            "of_stock_bfloat16": median_ratio(timing, bfloat16) if bfloat16 else None,
        }
        for name, timing in timings.items()
    ]
    print(rows if arguments.quick else write("airbench_step" if bfloat16 else "airbench_step_float32", rows))


if __name__ == "__main__":
    main()
