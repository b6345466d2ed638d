"""Batch-norm statistics for other weights: against NumPy, on every backend."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.layers import recalibrate

pytestmark = pytest.mark.backend


def network(**norm):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, name="dense"),
            keras.layers.BatchNormalization(name="norm", momentum=0.9, **norm),
        ]
    )


def samples(count=24):
    return np.random.default_rng(0).normal(2.0, 3.0, size=(count, 3)).astype(np.float32)


def statistics(model):
    norm = model.get_layer("norm")
    return [np.array(keras.ops.convert_to_numpy(v)) for v in (norm.moving_mean, norm.moving_variance)]


def expected(model, batches):
    kernel, bias = model.get_layer("dense").get_weights()
    hidden = [np.float64(batch) @ kernel + bias for batch in batches]
    return [np.mean([h.mean(axis=0) for h in hidden], axis=0), np.mean([h.var(axis=0) for h in hidden], axis=0)]


class Batches(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return 3

    def __getitem__(self, index):
        return samples()[8 * index : 8 * index + 8], np.zeros(8)


@pytest.mark.parametrize(
    "data",
    [
        lambda: samples(),
        lambda: Batches(),
        lambda: (samples()[start : start + 8] for start in (0, 8, 16)),
        lambda: [(samples()[start : start + 8], "labels") for start in (0, 8, 16)],
    ],
    ids=["array", "PyDataset", "generator", "pairs"],
)
def test_the_statistics_are_the_mean_over_the_batches(data):
    model = network()
    weights = [np.array(w) for w in model.get_layer("dense").get_weights()]
    assert recalibrate(model, data(), batch_size=8) == 1
    for found, wanted in zip(statistics(model), expected(model, np.split(samples(), 3)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    for left, right in zip(weights, model.get_layer("dense").get_weights(), strict=True):
        assert left.tobytes() == right.tobytes()
    assert model.get_layer("norm").momentum == 0.9


def test_a_short_last_batch_counts_by_its_samples():
    model = network()
    recalibrate(model, samples(17), batch_size=8)  # 8, 8 and 1, whose variance is 0
    kernel, bias = model.get_layer("dense").get_weights()
    hidden = [np.float64(batch) @ kernel + bias for batch in np.split(samples(17), [8, 16])]
    weights = np.array([8, 8, 1]) / 17
    for found, moment in zip(statistics(model), (np.mean, np.var), strict=True):
        wanted = sum(weight * moment(h, axis=0) for weight, h in zip(weights, hidden, strict=True))
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_steps_bound_the_batches():
    model = network()
    recalibrate(model, samples(), steps=2, batch_size=8)
    for found, wanted in zip(statistics(model), expected(model, np.split(samples(), 3)[:2]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_nested_layers_are_found_and_frozen_ones_left_alone():
    inner = network()
    outer_norm = keras.layers.BatchNormalization(name="outer")
    model = keras.Sequential([keras.Input((3,)), inner, outer_norm])
    assert recalibrate(model, samples()) == 2
    assert np.abs(keras.ops.convert_to_numpy(outer_norm.moving_variance) - 1).max() < 0.01, "of normalized inputs: 1"
    frozen = network(trainable=False)
    before = statistics(frozen)
    assert recalibrate(frozen, samples()) == 0
    assert all((left == right).all() for left, right in zip(before, statistics(frozen), strict=True))


def test_inputs_by_name():
    image, other = keras.Input((2,), name="image"), keras.Input((1,), name="other")
    outputs = keras.layers.BatchNormalization(name="norm")(keras.layers.Concatenate()([image, other]))
    model = keras.Model({"image": image, "other": other}, outputs)
    recalibrate(model, {"image": samples()[:, :2], "other": samples()[:, 2:]})
    np.testing.assert_allclose(statistics(model)[0], samples().mean(axis=0), rtol=1e-5)


def test_nothing_to_calibrate_with_is_refused():
    model = network()
    before = statistics(model)
    with pytest.raises(InputError, match="at least one batch"):
        recalibrate(model, [])
    with pytest.raises(InputError, match="must be arrays, a PyDataset"):
        recalibrate(model, 3)
    with pytest.raises(InputError, match="`steps` must be a whole number >= 1"):
        recalibrate(model, samples(), steps=0)
    with pytest.raises(InputError, match="`batch_size` must be a whole number >= 1"):
        recalibrate(model, samples(), batch_size=0)
    assert all((left == right).all() for left, right in zip(before, statistics(model), strict=True))
    assert model.get_layer("norm").momentum == 0.9
