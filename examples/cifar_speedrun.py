"""The recipes `cifar_speedrun` and, with --muon, `cifar_speedrun_muon`: their parts in an ordinary Keras script.

python examples/cifar_speedrun.py [--muon] [--data cifar10|synthetic|PATH] [--epochs 10] [--seed 0] [--smoke]
"""

import argparse
import json
import pathlib

import keras
import numpy as np

import kerastrain
from kerastrain import callbacks, datasets, initializers, layers, losses, optimizers, topologies
from kerastrain.optimizers import schedules

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="synthetic")
parser.add_argument("--muon", action="store_true", help="orthogonalized momentum, and smaller images at first")
parser.add_argument("--epochs", type=int, help="10; with --muon 8")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=pathlib.Path, help="a folder to save the model and its checkpoints in")
parser.add_argument("--smoke", action="store_true")


def whitened(images: np.ndarray) -> list[keras.Layer]:
    """Standardized channels, then a frozen convolution that takes the correlation out of 2x2 patches."""
    some = images[:5000] / 255.0
    mean, variance = some.mean(axis=(0, 1, 2)), some.var(axis=(0, 1, 2))
    kernel = initializers.PatchWhitening(5e-4).adapt((some - mean) / np.sqrt(variance), 2)
    return [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Normalization(mean=mean, variance=variance),
        keras.layers.Conv2D(24, 2, use_bias=False, trainable=False, kernel_initializer=kernel, name="whitening"),
    ]


def optimizer(steps: int) -> optimizers.ComposedOptimizer:
    """PyTorch's Nesterov momentum, 64 times the rate for batch-norm offsets, weights that are averaged as they go."""
    rate = schedules.Triangle(1.5, steps, start=0.2, end=0.07, peak_fraction=0.23)
    return optimizers.ComposedOptimizer(
        optimizers.MomentumSGD(rate, momentum=0.85, form="pytorch", nesterov=True),
        groups=[
            optimizers.ParameterGroup("kernel$", l2=1.33e-3),
            optimizers.ParameterGroup("beta$", learning_rate_multiplier=64, l2=2.08e-5),
        ],
        averaging=optimizers.Lookahead(5, schedules.Warmup(0.95**5, steps, shape="cubic")),
    )


def muon(steps: int) -> optimizers.ComposedOptimizer:
    """Convolutions move by orthogonalized momentum; rates of their own for batch-norm offsets and the head."""
    return optimizers.ComposedOptimizer(
        optimizers.OrthogonalizedMomentum(
            keras.optimizers.schedules.PolynomialDecay(0.12, steps, 0.0),
            momentum=0.6,
            other_momentum=0.85,
            steps=3,
            unit_norm=True,
            exclude=["head"],
        ),
        groups=[
            optimizers.ParameterGroup("beta$", learning_rate_multiplier=225, l2=3.8e-5),
            optimizers.ParameterGroup("head", learning_rate_multiplier=3.5, l2=2.4e-3),
        ],
    )


def main(arguments: argparse.Namespace) -> dict:
    data = datasets.load("synthetic" if arguments.smoke else arguments.data)
    samples = 256 if arguments.smoke else len(data.y_train)
    epochs = arguments.epochs or (8 if arguments.muon else 10)
    batch_size, momentum = (512, 0.75) if arguments.muon else (1024, 0.6)
    if arguments.smoke:
        epochs, batch_size = 2, 64
    images, labels = data.x_train[:samples], data.y_train[:samples]
    smaller = [(24, epochs // 2)] if arguments.muon and epochs > 1 else []
    batches = datasets.Batches(
        images, labels, batch_size, seed=arguments.seed, crop=2, flip="alternating", resolutions=smaller
    )
    keras.utils.set_random_seed(arguments.seed)
    model = topologies.airbench(
        widths=(8, 16, 16) if arguments.smoke else (64, 256, 256),
        normalization={"type": "fused_batch", "momentum": momentum, "epsilon": 1e-12, "scale": False},
        input_shape=data.image_shape,
        classes=data.classes,
        preprocessing=whitened(images),
        seed=arguments.seed,
    )
    # Trained on images of several sizes, asked about those of its own.
    model.input_spec = keras.layers.InputSpec(shape=(None, None, None, 3))
    kerastrain.fast_compile(
        model,
        (muon if arguments.muon else optimizer)(epochs * len(batches)),
        losses.SparseCategoricalCrossentropy(label_smoothing=0.2),
        metrics=["accuracy"],
        batch_size=batch_size,
        steps_per_epoch=len(batches),
    )
    checkpoint = [callbacks.ResumableCheckpoint(arguments.out, batches)] if arguments.out is not None else []
    model.fit(batches, epochs=epochs, shuffle=False, verbose=2, callbacks=checkpoint)
    views = layers.TestTimeAugmentation(model)
    views.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    if arguments.out is not None:
        model.save(arguments.out / "model.keras")
    test = data.x_test, data.y_test
    return {
        "plain": model.evaluate(*test, batch_size=1000, verbose=0, return_dict=True)["accuracy"],
        "test_time_augmentation": views.evaluate(*test, batch_size=1000, verbose=0, return_dict=True)["accuracy"],
    }


if __name__ == "__main__":
    print(json.dumps({"test": main(parser.parse_args())}))
