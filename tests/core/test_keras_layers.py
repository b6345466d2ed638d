"""Fails when Keras changes what is used of its layers beyond the public API."""

import keras
import pytest

from kerastrain._core.keras_layers import all_layers


@pytest.mark.backend
def test_all_layers_reaches_nested_models_and_wrapped_layers():
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="deep")], name="inner")
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            keras.layers.TimeDistributed(inner, name="steps"),
            keras.layers.Bidirectional(keras.layers.LSTM(2, name="memory"), name="both"),
        ]
    )
    names = [layer.name for layer in all_layers(model)]
    assert "deep" in names and "inner" in names and "steps" in names and model.name not in names
    assert sum(isinstance(layer, keras.layers.LSTM) for layer in all_layers(model)) == 2
