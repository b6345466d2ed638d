"""Fails when Keras changes what is used of its metrics beyond the public API."""

import keras
import numpy as np
import pytest

from kerastrain._core.keras_metrics import mode_of


class Total(keras.metrics.Sum):
    """A metric that Keras knows no direction of."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_pred, sample_weight)


@pytest.mark.backend
def test_the_mode_of_a_compiled_metric():
    inputs = keras.Input((2,))
    outputs = [keras.layers.Dense(1, name=name)(inputs) for name in ("one", "two")]
    model = keras.Model(inputs, outputs)
    metrics = [["accuracy", keras.metrics.MeanSquaredError(name="error")], [Total(name="total"), "auc"]]
    model.compile("sgd", loss="mse", metrics=metrics)
    model.evaluate(np.zeros((2, 2)), [np.zeros((2, 1))] * 2, verbose=0)
    logged = set(model.get_metrics_result())
    assert {"one_accuracy", "one_error", "two_total"} <= logged
    found = {name: mode_of(model, name) for name in ("one_accuracy", "one_error", "two_total", "two_auc", "other")}
    assert found == {"one_accuracy": "max", "one_error": "min", "two_total": None, "two_auc": "max", "other": None}
