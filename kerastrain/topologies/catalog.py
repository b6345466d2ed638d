"""The registry of topologies: what a recipe's `model.topology` may say."""

from kerastrain._core.registry import Registry

TOPOLOGIES = Registry("topology", key="topology")

TASKS: dict[str, str] = {}
"""The task of each topology: `multiclass` (softmax over the classes) or `multilabel` (one sigmoid a class)."""

DATA_FORMS: dict[str, str] = {}
"""The form of data that each topology reads: `image`, `image_and_histogram` or `pairs`."""

BUILD_ARGUMENTS = ("input_shape", "histogram_size", "classes", "preprocessing", "seed", "name")
"""The arguments that the data and the run decide, so that a recipe's `model` does not hold them."""


def describe() -> dict[str, str]:
    """One line for each topology, by name.

    Example:

    >>> describe()["residual"]
    'ResNet-20/32/44/56/110 for small images (He et al. 2015), by depth'
    """
    return {entry.name: entry.description for entry in TOPOLOGIES}
