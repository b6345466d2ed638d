"""A training toolkit for Keras 3: topologies, data, recipes, runs and searches.

Subpackages load on first use, so that `import kerastrain` costs what `import keras` costs and the command line
answers `--help` without TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerastrain import (
        activations,
        callbacks,
        datasets,
        diagnostics,
        errors,
        experiments,
        initializers,
        layers,
        losses,
        optimizers,
        plots,
        preprocessing,
        regularizers,
        topologies,
        tuning,
    )
    from kerastrain.experiments.fast_compile import fast_compile

__version__ = "0.1.0"
__all__ = [
    "activations",
    "callbacks",
    "datasets",
    "diagnostics",
    "errors",
    "experiments",
    "fast_compile",
    "initializers",
    "layers",
    "losses",
    "optimizers",
    "plots",
    "preprocessing",
    "regularizers",
    "topologies",
    "tuning",
]


def __getattr__(name: str) -> Any:
    if name == "fast_compile":
        return importlib.import_module("kerastrain.experiments").fast_compile
    if name in __all__:
        return importlib.import_module(f"kerastrain.{name}")
    raise AttributeError(f"module `kerastrain` has no attribute `{name}`. Known: {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
