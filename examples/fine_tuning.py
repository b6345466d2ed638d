"""Fine-tuning on 100 images of new classes: head at the full rate, trunk and batch norms frozen until a switch lets
it learn at a tenth of the rate, without compiling again; beside it, one rate for all, pretrained and from scratch.

KERASTRAIN_CIFAR10=FILE python examples/fine_tuning.py [--data NAME|PATH] [--smoke] [--out DIR] [--seed N]
"""

import argparse
import json
import pathlib

import keras

from kerastrain import datasets, optimizers, plots, topologies

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="cifar10")
parser.add_argument("--smoke", action="store_true", help="synthetic data, one seed, a few steps")
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/fine_tuning"), help="a folder")
parser.add_argument("--seed", type=int, default=0, help="the first of three")
VARIANTS = ["from scratch", "pretrained", "pretrained, trunk frozen, then at a tenth"]


def network(data, trunk=(), groups=()):  # `trunk`: the weights of all layers but the head, which is the last
    kind = {"input_shape": data.image_shape, "classes": data.classes, "widths": [16, 32, 64], "blocks": 1}
    kind["normalization"] = {"type": "batch", "momentum": 0.9}
    model = topologies.convnet(preprocessing=[keras.layers.Rescaling(1 / 127.5, offset=-1)], **kind)
    for layer in model.layers:  # A batch norm that is not trainable runs on its stored statistics.
        layer.trainable = not (groups and isinstance(layer, keras.layers.BatchNormalization))
    model.set_weights([*trunk, *model.get_weights()[len(trunk) :]])
    optimizer = optimizers.ComposedOptimizer(keras.optimizers.SGD(0.02, momentum=0.9), groups=groups)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(data, parts, seed, samples, epochs):  # weights of the trunk that moved while frozen; validation accuracies
    keras.utils.set_random_seed(seed)
    (x, y), (x_val, y_val) = [(part.images, part.labels) for part in (parts.train, parts.validation)]
    old, unseen, pretrained = y < data.classes // 2, y_val >= data.classes // 2, network(data)
    pretrained.fit(x[old][:samples], y[old][:samples], batch_size=64, epochs=4, verbose=2)
    trunk, x, y = pretrained.get_weights()[:-2], x[~old][:100], y[~old][:100]
    group = optimizers.ParameterGroup(r"(^|/)stage", learning_rate_multiplier=0.1, trainable=False, name="trunk")
    networks = [network(data), network(data, trunk), network(data, trunk, [group])]
    rest = {"validation_data": (x_val[unseen][:1000], y_val[unseen][:1000]), "epochs": epochs, "verbose": 0}
    rows = [net.fit(x, y, **rest).history["val_accuracy"] for net in networks]
    moved = sum(int((a != b).sum()) for a, b in zip(trunk, networks[-1].get_weights()[:-2], strict=True))
    networks[-1].optimizer.hyperparameters["trunk.trainable"] = 1
    return moved, [row + net.fit(x, y, **rest).history["val_accuracy"] for row, net in zip(rows, networks, strict=True)]


if __name__ == "__main__":
    given = parser.parse_args()
    data = datasets.load("synthetic" if given.smoke else given.data)
    parts, (seeds, *size) = datasets.split(data, 0.1, seed=0), (1, 256, 1) if given.smoke else (3, 12_000, 30)
    moved, rows = zip(*[train(data, parts, given.seed + i, *size) for i in range(seeds)], strict=True)
    curves = dict(zip(VARIANTS, zip(*rows, strict=True), strict=True))
    given.out.mkdir(parents=True, exist_ok=True)
    plots.comparison({"accuracy": curves}, marks={"unfrozen": size[1] + 0.5}).savefig(given.out / "fine_tuning.png")
    result = json.dumps({"validation_accuracy": curves, "moved_while_frozen": moved})
    (given.out / "result.json").write_text(result)
    print(result)
