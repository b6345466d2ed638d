"""Monte Carlo dropout leaves the model as it was: weights, statistics, flags, its training; on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, array
from mc_networks import VALUES, Batches, bytes_of, compiled, flags_of, network

from kerastrain.layers import GhostBatchNormalization, TextbookBatchNormalization, VariableRateDropout, mc_predict

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    "normalization", [keras.layers.BatchNormalization, GhostBatchNormalization, TextbookBatchNormalization]
)
def test_every_weight_statistic_and_flag_is_left_as_it_was(normalization):
    model = network(normalization)
    before, flags = bytes_of(model), flags_of(model)
    mc_predict(model, VALUES, samples=3, batch_size=8)
    assert bytes_of(model) == before and flags_of(model) == flags
    assert model.get_layer("norm").trainable


def test_what_is_frozen_stays_frozen():
    model = network()
    model.get_layer("first").trainable = False
    model.get_layer("norm").gamma.trainable = False
    flags = flags_of(model)
    trainable = [variable.path for variable in model.trainable_variables]
    mc_predict(model, VALUES, samples=2)
    assert flags_of(model) == flags
    assert [variable.path for variable in model.trainable_variables] == trainable
    frozen = network()
    frozen.trainable = False
    flags = flags_of(frozen)
    mc_predict(frozen, VALUES, samples=2)
    assert flags_of(frozen) == flags and not frozen.get_layer("norm").trainable


def test_it_is_left_as_it_was_when_it_raises(monkeypatch):
    model = network()
    before, flags = bytes_of(model), flags_of(model)
    expected = array(model(VALUES))
    with pytest.raises(ValueError, match="incompatible"):
        mc_predict(model, np.ones((4, 7)), samples=2)
    assert bytes_of(model) == before and flags_of(model) == flags
    np.testing.assert_array_equal(array(model(VALUES)), expected)

    class Damaged(Batches):
        def __getitem__(self, index):
            if index == 2:
                raise ValueError("no third batch")
            return super().__getitem__(index)

    with pytest.raises(Exception, match="no third batch"):
        mc_predict(model, Damaged(), samples=2)
    assert bytes_of(model) == before and flags_of(model) == flags
    # The generators are there as well, at the place where they were.
    found, twin = mc_predict(model, VALUES, samples=2), mc_predict(network(), VALUES, samples=2)
    np.testing.assert_array_equal(found.mean, twin.mean)

    def interrupted(*arguments, **options):
        assert not model.get_layer("norm").trainable
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mc_predict(model, VALUES, samples=2)
    assert bytes_of(model) == before and flags_of(model) == flags


def test_a_layer_that_writes_to_its_weights_in_training_is_left_as_it_was():
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.SpectralNormalization(keras.layers.Dense(5)), keras.layers.Dropout(0.5)]
    )
    before = bytes_of(model)
    mc_predict(model, VALUES, samples=2)
    assert bytes_of(model) == before


def test_batch_normalization_in_a_nested_model():
    inner = network()
    inputs = keras.Input((6,))
    model = compiled(keras.Model(inputs, keras.layers.Dense(1)(inner(inputs))))
    before, flags = bytes_of(model), flags_of(inner)
    mean, deviation = mc_predict(model, VALUES, samples=3)
    assert mean.shape == (30, 1) and (deviation > 0).all()
    assert bytes_of(model) == before and flags_of(inner) == flags


def test_a_compiled_model_trains_on_as_if_nothing_had_been():
    def trained(between):
        keras.utils.set_random_seed(0)
        # Whose seeds do not matter, as nothing is dropped.
        model = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(5),
                keras.layers.BatchNormalization(),
                VariableRateDropout(0.0),
                keras.layers.Dense(1),
            ]
        )
        model.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse", metrics=["mae"], jit_compile=BACKEND == "jax")
        losses = []
        for _ in range(3):
            history = model.fit(VALUES, VALUES[:, :1], batch_size=10, shuffle=False, verbose=0)
            losses += [*history.history["loss"], *history.history["mae"]]
            between(model)
        return losses, model.get_weights()

    losses, weights = trained(lambda model: mc_predict(model, VALUES, samples=2))
    expected_losses, expected = trained(lambda model: None)
    assert losses == expected_losses
    for found, wanted in zip(weights, expected, strict=True):
        assert found.tobytes() == wanted.tobytes()
    assert losses[-2] < losses[0]


class Counted(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


def test_it_runs_as_the_model_was_compiled():
    counts = {}
    for eagerly in (True, False):
        counted = Counted()
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dropout(0.5), counted])
        model.compile(optimizer="sgd", loss="mse", run_eagerly=eagerly)
        before = counted.calls
        mc_predict(model, VALUES, samples=5)
        counts[eagerly] = counted.calls - before
    assert counts[True] >= 5
    if BACKEND != "torch":  # It compiles nothing by itself.
        assert counts[False] < 5
