"""What is needed of `keras.Layer` beyond its public API.

`tests/core/test_keras_layers.py` fails when Keras changes it.
"""

import keras


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """Every layer of `model`, those inside nested models and composite layers included; `model.layers` stops at the
    first level."""
    return list(model._flatten_layers(include_self=False))
