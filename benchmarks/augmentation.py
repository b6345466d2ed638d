"""Augmented images a second: crop and flip of the recipes' batches beside Keras's layers that do the same.

    python benchmarks/augmentation.py [--repeats 9] [--quick]

Both cut each image out of itself padded by four reflected pixels, and mirror it or not, anew for each image. Keras's
RandomTranslation does it in a `tf.data` pipeline, as its documentation shows, and once more on whole batches, eagerly.
"""

import argparse
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from suite import interleaved, median_ratio, write

from kerastrain.datasets import Batches

SAMPLES, BATCH, SIDE = 10_240, 128, 32


def ours(images: np.ndarray, labels: np.ndarray) -> Any:
    """The batches as `fit` asks for them, order included."""
    batches = Batches(images, labels, BATCH, seed=0, crop=4, flip="random")

    def epoch() -> None:
        batches.start(0)
        for index in range(len(batches)):
            batches[index]

    return epoch


def keras_layers() -> keras.Sequential:
    far = 4 / SIDE
    return keras.Sequential(
        [keras.layers.RandomTranslation(far, far, fill_mode="reflect"), keras.layers.RandomFlip("horizontal")]
    )


def in_a_pipeline(images: np.ndarray, labels: np.ndarray, parallel: bool) -> Any:
    """Keras's layers mapped over a data set's batches."""
    layers = keras_layers()
    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(SAMPLES).batch(BATCH)
    data = data.map(
        lambda x, y: (layers(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE if parallel else None
    )
    data = data.prefetch(tf.data.AUTOTUNE)

    def epoch() -> None:
        for _ in data:
            pass

    return epoch


def eagerly(images: np.ndarray, labels: np.ndarray) -> Any:
    """Keras's layers called on one batch after the other."""
    layers = keras_layers()

    def epoch() -> None:
        for start in range(0, SAMPLES, BATCH):
            layers(images[start : start + BATCH], training=True)

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="one repeat, nothing written: that it runs")
    arguments = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (SAMPLES, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.arange(SAMPLES) % 10
    timings = interleaved(
        {
            "kerastrain": ours(images, labels),
            "Keras's layers in tf.data, parallel": in_a_pipeline(images, labels, True),
            "Keras's layers in tf.data": in_a_pipeline(images, labels, False),
            "Keras's layers, eagerly": eagerly(images, labels),
        },
        1 if arguments.quick else arguments.repeats,
    )
    own = timings["kerastrain"]
    rows = [
        {"contender": name, **timing.facts(SAMPLES, "images"), "kerastrain_is_faster_by": median_ratio(timing, own)}
        for name, timing in timings.items()
    ]
    print(rows if arguments.quick else write("augmentation", rows))


if __name__ == "__main__":
    main()
