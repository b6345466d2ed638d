"""The batches that `fit` gets from small data are those of the data set, on every way; fails when Keras changes it."""

import keras
import numpy as np
import pytest

from kerastrain._core import small_data
from kerastrain.datasets import Batches

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a pipeline of TensorFlow's")


class Sum(keras.layers.Layer):
    """Adds what it has seen into a weight, each batch times ten times as much as the one before."""

    def build(self, shape):
        self.seen = self.add_weight(shape=(), initializer="zeros", dtype="float64", trainable=False, autocast=False)

    def call(self, inputs, training=False):
        if training:
            self.seen.assign(self.seen * 10 + keras.ops.cast(keras.ops.sum(inputs), "float64"))
        return inputs


def seen(data, epochs=2, **options):
    """What a training sees of `data`, in its order."""
    layer = Sum()
    model = keras.Sequential([keras.Input((1,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse", **options)
    model.fit(data, epochs=epochs, shuffle=False, verbose=0)
    return float(layer.seen)


def batches(samples=7):
    return Batches(np.arange(1.0, samples + 1)[:, None], np.zeros((samples, 1)), 3, seed=0)


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 2}], ids=["one step", "two steps"])
def test_a_fit_sees_the_batches_of_each_epoch_in_their_order(options):
    expected = 0.0
    for epoch in range(2):
        order = np.random.default_rng([0, epoch, 0]).permutation(7) + 1
        for start in (0, 3, 6):
            expected = expected * 10 + order[start : start + 3].sum()
    one = batches()
    data = small_data.prepared_for_fit(one)
    assert data is not one
    assert seen(data, **options) == expected


def test_the_rest_of_an_epoch_is_its_batches():
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    one = Batches({"image": images, "more": np.arange(10)}, np.arange(10), 4, seed=1, crop=1, flip="random")
    one.start(3, 1)
    inputs, labels = one.rest_of_epoch()
    parts = [one[index] for index in range(len(one))]
    np.testing.assert_array_equal(labels, np.concatenate([part[1] for part in parts]))
    for name in ("image", "more"):
        np.testing.assert_array_equal(inputs[name], np.concatenate([part[0][name] for part in parts]))


def test_large_data_and_batches_that_are_made_whole_stay_as_they_are(monkeypatch):
    even = Batches(np.zeros((7, 1)), np.zeros(7), 3, seed=0, even=True)
    assert small_data.prepared_for_fit(even) is even
    monkeypatch.setattr(small_data, "SMALL_BYTES", 8)
    one, arrays = batches(), (np.zeros(2), np.zeros(2))
    assert small_data.prepared_for_fit(one) is one
    assert small_data.batched(arrays, 2) is arrays
