"""No recipe: a topology and a data set of kerastrain in an ordinary Keras script, with `compile` and `fit`.

python examples/keras_script.py [--data cifar10|synthetic|PATH] [--smoke]
"""

import argparse
import json
import pathlib

import keras

from kerastrain import datasets, topologies

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="synthetic")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=pathlib.Path, help="a folder to save the model in")
parser.add_argument("--smoke", action="store_true")


def main(arguments: argparse.Namespace) -> dict:
    data = datasets.load("synthetic" if arguments.smoke else arguments.data)
    parts = datasets.split(data, validation=0.1, seed=arguments.seed)
    samples = 256 if arguments.smoke else len(parts.train.labels)
    keras.utils.set_random_seed(arguments.seed)
    model = topologies.convnet(
        widths=[16, 32],
        activation="gelu",
        normalization={"type": "batch", "momentum": 0.9},
        dropout={"type": "spatial", "rate": 0.1},
        input_shape=data.image_shape,
        classes=data.classes,
        preprocessing=[keras.layers.Rescaling(1 / 255)],
        seed=arguments.seed,
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        parts.train.images[:samples],
        parts.train.labels[:samples],
        batch_size=64,
        epochs=1 if arguments.smoke else arguments.epochs,
        validation_data=(parts.validation.images, parts.validation.labels),
        verbose=2,
    )
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        model.save(arguments.out / "model.keras")
    return model.evaluate(parts.test.images, parts.test.labels, verbose=0, return_dict=True)


if __name__ == "__main__":
    print(json.dumps({"test": main(parser.parse_args())}))
