"""One small setting of each topology, and data that fits it."""

from typing import Any

import keras
import numpy as np

from kerastrain import topologies

SMALL: dict[str, dict[str, Any]] = {
    "mlp_sequential": {"layers": [5, {"units": 4, "activation": "gelu"}], "input_shape": (8, 8, 3)},
    "mlp_functional": {"layers": [5, {"units": 4, "activation": "gelu"}], "input_shape": (8, 8, 3)},
    "convnet": {"widths": [4, 6], "blocks": 1, "dropout": {"type": "spatial", "rate": 0.2}, "input_shape": (8, 8, 3)},
    "airbench": {"widths": [4, 6], "initializer": "he_normal", "input_shape": (8, 8, 3)},
    "residual": {"depth": 8, "width": 3, "dropout": 0.1, "regularizer": 1e-3, "input_shape": (8, 8, 3)},
    "ensemble": {
        "members": [
            {"topology": "mlp_functional", "layers": [4], "dropout": 0.2, "regularizer": 1e-2},
            {"topology": "convnet", "widths": [4], "blocks": 1},
            {"topology": "residual", "depth": 8, "width": 2},
        ],
        "input_shape": (8, 8, 3),
    },
    "multi_input": {
        "widths": [4, 6],
        "blocks": 1,
        "histogram_units": 3,
        "joint_units": 5,
        "histogram_size": 12,
        "input_shape": (8, 8, 3),
    },
    "multi_label": {"widths": [4, 6], "blocks": 1, "input_shape": (8, 16, 3)},
    "supervised_autoencoder": {"units": [6, 4], "activation": "tanh", "dropout": 0.2, "input_shape": (8, 8, 3)},
}
NAMES = sorted(SMALL)


def rescaling() -> list[keras.Layer]:
    return [keras.layers.Rescaling(1 / 255, name="rescale")]


def small(name: str, **changes: Any) -> keras.Model:
    """The small model `name`, scaling raw pixels in the graph, for three classes."""
    arguments = {"classes": 3, "seed": 0, "preprocessing": rescaling(), **SMALL[name], **changes}
    return topologies.TOPOLOGIES[name].target(**arguments)


def data(name: str, samples: int = 12) -> tuple[Any, np.ndarray]:
    """Raw uint8 inputs and labels of three classes."""
    random = np.random.default_rng(7)
    images = random.integers(0, 256, (samples, *SMALL[name]["input_shape"]), dtype=np.uint8)
    if topologies.TASKS[name] == "multilabel":
        return images, random.integers(0, 2, (samples, 3)).astype("float32")
    labels = random.integers(0, 3, samples).astype("int32")
    if topologies.DATA_FORMS[name] == "image_and_histogram":
        return {"image": images, "histogram": random.random((samples, 12), dtype=np.float32)}, labels
    return images, labels


def loss(name: str) -> str:
    multilabel = topologies.TASKS[name] == "multilabel"
    return "binary_crossentropy" if multilabel else "sparse_categorical_crossentropy"
