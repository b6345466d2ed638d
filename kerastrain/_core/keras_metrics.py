"""What is needed of `keras.Metric` beyond its public API.

`tests/core/test_keras_metrics.py` fails when Keras changes it.
"""

from typing import Any

import keras

_MODES = {"up": "max", "down": "min"}


def mode_of(model: keras.Model, name: str) -> str | None:
    """`"max"` where more is better of the model's metric that is logged as `name`, `"min"` where less is; None where
    Keras does not know, or the model has no such metric."""
    metrics: list[Any] = []
    for metric in model.metrics:  # Those given to `compile` are in one that holds the others.
        metrics += getattr(metric, "metrics", [metric])
    for metric in metrics:
        if name == metric.name or name.endswith(f"_{metric.name}"):  # With the name of an output in front.
            return _MODES.get(getattr(metric, "_direction", None) or "")
    return None
