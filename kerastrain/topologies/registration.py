"""Importing this module fills the catalog with the topologies of this package."""

from collections.abc import Callable
from typing import Any

from kerastrain.topologies.airbench import airbench
from kerastrain.topologies.catalog import BUILD_ARGUMENTS, DATA_FORMS, TASKS, TOPOLOGIES
from kerastrain.topologies.convnet import convnet
from kerastrain.topologies.ensemble import ensemble
from kerastrain.topologies.mlp_functional import mlp_functional
from kerastrain.topologies.mlp_sequential import mlp_sequential
from kerastrain.topologies.multi_input import multi_input
from kerastrain.topologies.multi_label import multi_label
from kerastrain.topologies.residual import residual
from kerastrain.topologies.supervised_autoencoder import supervised_autoencoder


def _add(function: Callable[..., Any], description: str, *, task: str = "multiclass", data_form: str = "image") -> None:
    name = function.__name__
    TOPOLOGIES.add(name, function, description, skip=BUILD_ARGUMENTS)
    TASKS[name] = task
    DATA_FORMS[name] = data_form


_add(mlp_sequential, "dense layers by the Sequential API; the course's 3072-20-15-10 by default")
_add(mlp_functional, "the same network by the Functional API")
_add(convnet, "stages of 3x3 convolutions, pooling, global average pooling; 0.29M weights by default")
_add(residual, "ResNet-20/32/44/56/110 for small images (He et al. 2015), by depth")
_add(airbench, "the network of the CIFAR-10 speed records (Jordan 2024), 1.97M weights behind patch whitening")
_add(ensemble, "members that differ by seed or architecture, trained apart; their vote decides")
_add(
    multi_input,
    "a convolutional branch on the image, a dense one on its color histogram",
    data_form="image_and_histogram",
)
_add(multi_label, "two images side by side, one sigmoid a class", task="multilabel", data_form="pairs")
_add(supervised_autoencoder, "an encoder whose code classifies, and with its weights transposed draws the image again")
