"""What Winograd's minimal filtering saves, by which `layers.SmallImageConv2D` convolves where it pays.

    python benchmarks/small_images.py [--backends tensorflow jax torch] [--rounds 7] [--quick]

In float32, with oneDNN on TensorFlow and freed memory kept on torch, as recipes have them. One convolution of 3x3 with
its gradients by inputs and kernel, 128 images, by Keras's layer and by Winograd's, whether it pays or not; and one
training step of the speed run's network, of its own width and of half of it, as Keras convolves, as the layer decides,
and by Winograd's throughout. Each backend has a process of its own. About a quarter of an hour.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from suite import KEEP_FREED_MEMORY, interleaved, median_ratio, write

from kerastrain._core import onednn

# Side of the images, channels, filters; those of the speed run's network are the last ones.
SHAPES = [
    *[(8, 16, 16), (8, 32, 32), (8, 64, 64), (8, 128, 128)],
    *[(16, 16, 16), (16, 32, 32), (16, 64, 64), (16, 128, 128)],
    *[(32, 16, 16), (32, 32, 32), (32, 64, 64), (32, 128, 128)],
    *[(31, 24, 64), (15, 64, 64), (15, 64, 256), (7, 256, 256), (3, 256, 256)],
]
# Widths of the network, side of the images, number of images.
STEPS = [([64, 256, 256], 32, 512), ([64, 256, 256], 24, 512), ([32, 128, 128], 32, 512), ([32, 128, 128], 16, 512)]
# On JAX Keras's own convolution takes seconds for it.
BATCH = {"jax": 128}
WAYS = {"Keras's": False, "as it decides": None, "Winograd's": True}


def convolution(shape: tuple[int, int, int], winograd: bool, images: int) -> Callable[[], object]:
    """A function that computes the gradients of a convolution."""
    import keras
    import numpy as np

    from kerastrain import layers

    side, channels, filters = shape
    generator = np.random.default_rng(0)
    x, upstream = (
        keras.ops.convert_to_tensor(generator.normal(size=(images, side, side, count)).astype(np.float32))
        for count in (channels, filters)
    )
    layer = layers.SmallImageConv2D(filters, 3, padding="same", use_bias=False, winograd=winograd)
    layer.build(x.shape)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def gradients(x: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x)
            return tape.gradient(outputs, [x, layer.kernel.value], upstream)

        return lambda: gradients(x)[0].numpy()[0, 0, 0]
    if keras.backend.backend() == "jax":
        import jax

        def outputs(x: Any, kernel: Any) -> Any:
            return layer.stateless_call([kernel], [], x)[0]

        compiled = jax.jit(lambda x, kernel: jax.vjp(outputs, x, kernel)[1](upstream))
        return lambda: jax.block_until_ready(compiled(x, layer.kernel.value))

    def by_torch() -> object:
        leaf = x.detach().requires_grad_()
        layer.kernel.value.grad = None
        layer(leaf).backward(upstream)
        return leaf.grad

    return by_torch


def step(widths: list[int], side: int, batch: int, winograd: bool | None) -> Callable[[], object]:
    """A function that makes a training step."""
    import numpy as np

    from kerastrain import experiments, layers

    recipe = experiments.load(
        "cifar_speedrun_muon", {"data.name": "synthetic", "training.precision": "float32", "model.widths": widths}
    )
    model = experiments.build(recipe, experiments.prepare(recipe))
    for layer in model.layers:
        if isinstance(layer, layers.SmallImageConv2D):
            layer.winograd = winograd
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    y = generator.integers(0, 10, batch)
    return lambda: model.train_on_batch(x, y)


def measure(rounds: int, quick: bool) -> list[dict[str, Any]]:
    """The rows of this process's backend."""
    import keras

    from kerastrain._core import minimal_filtering

    backend = keras.backend.backend()
    rows: list[dict[str, Any]] = []
    for shape in SHAPES[-1:] if quick else SHAPES:
        images = 16 if quick else 128
        ways = {name: convolution(shape, winograd, images) for name, winograd in WAYS.items() if winograd is not None}
        keras_s, winograds = interleaved(ways, rounds).values()
        pays = shape[0] <= minimal_filtering.largest_side(keras.ops.zeros((images, *shape[:1] * 2, shape[1])), shape[2])
        rows.append(
            {
                "backend": backend,
                "side, channels, filters": shape,
                "batch": images,
                "taken": pays,
                "of_keras": median_ratio(winograds, keras_s),
                "seconds": {
                    name: timing.facts(images, "images")
                    for name, timing in zip(ways, (keras_s, winograds), strict=True)
                },
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    for widths, side, images in STEPS[-1:] if quick else STEPS:
        batch = 16 if quick else BATCH.get(backend, images)
        timings = interleaved({name: step(widths, side, batch, way) for name, way in WAYS.items()}, rounds)
        rows.append(
            {
                "backend": backend,
                "widths": widths,
                "side": side,
                "batch": batch,
                "of_keras": {name: median_ratio(timing, timings["Keras's"]) for name, timing in timings.items()},
                "seconds": {name: timing.facts(batch, "images") for name, timing in timings.items()},
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax", "torch"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="TensorFlow, 16 images, one round, nothing written")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.rounds, arguments.quick)
        return
    rows: list[dict[str, Any]] = []
    for backend in ["tensorflow"] if arguments.quick else arguments.backends:
        environment = os.environ | {"KERAS_BACKEND": backend, onednn.VARIABLE: "1"}
        if backend == "torch":
            environment |= KEEP_FREED_MEMORY
        rounds = ["--rounds", str(1 if arguments.quick else arguments.rounds), *["--quick"] * arguments.quick]
        done = subprocess.run(
            [sys.executable, __file__, "--one", *rounds], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        rows += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if arguments.quick:
        print(json.dumps(rows))
    else:
        write("small_images", rows)


if __name__ == "__main__":
    main()
