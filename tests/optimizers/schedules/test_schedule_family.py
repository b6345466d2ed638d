"""What holds for every schedule: the kinds of steps, saving, training."""

import inspect
import json

import keras
import numpy as np
import pytest

from kerastrain.optimizers import schedules
from kerastrain.optimizers.schedules import Cyclical, OneCycle, PerEpoch, Scaled, Sequence, StepDecay, Triangle, Warmup

KERAS = keras.optimizers.schedules

# Each with its first rates, worked out by hand.
CASES = {
    "StepDecay": (StepDecay(0.8, 0.5, 2), [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]),
    "Warmup": (Warmup(KERAS.InverseTimeDecay(0.6, 1, 1.0), 3, start_fraction=0.5), [0.3, 0.4, 0.5, 0.6, 0.3, 0.2]),
    "Triangle": (Triangle(2.0, 4, 0.1, 0.5, 0.3, 0.5), [0.2, 0.6, 1.0, 0.8, 0.6, 0.6]),
    "OneCycle": (OneCycle(1.0, 5, 0.6, 5.0, 2.0, "linear"), [0.2, 0.6, 1.0, 0.55, 0.1, 0.1]),
    "Cyclical": (Cyclical(0.1, 0.5, 1, "triangular2"), [0.1, 0.5, 0.1, 0.3, 0.1, 0.2]),
    "Sequence": (Sequence([(0.7, 2), (StepDecay(0.6, 0.5, 1), 2), 0.1]), [0.7, 0.7, 0.6, 0.3, 0.1, 0.1]),
    "Scaled": (Scaled(Scaled(0.4, 0.5), 0.5), [0.1] * 6),
    "PerEpoch": (PerEpoch(KERAS.InverseTimeDecay(0.6, 1, 1.0), 2), [0.6, 0.6, 0.3, 0.3, 0.2, 0.2]),
}

each = pytest.mark.parametrize("name", CASES)


def test_every_schedule_is_here():
    assert set(CASES) == set(schedules.__all__)


@each
@pytest.mark.backend
@pytest.mark.parametrize("dtype", ["int", "int32", "int64", "uint8", "float32", "variable"])
def test_every_kind_of_step(name, dtype):
    schedule, expected = CASES[name]
    counter = "int32" if keras.backend.backend() == "jax" else "int64"
    variable = keras.Variable(0, dtype=counter, trainable=False)
    for step, rate in enumerate(expected):
        variable.assign(step)
        if dtype == "variable":
            given = variable
        elif dtype == "int":
            given = step
        elif dtype == "int64" and keras.backend.backend() == "jax":
            given = np.int64(step)
        else:
            given = keras.ops.convert_to_tensor(step, dtype=dtype)
        found = schedule(given)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        assert tuple(found.shape) == ()
        assert float(found) == pytest.approx(rate, rel=1e-6)


@each
@pytest.mark.backend
def test_a_vector_of_steps(name):
    schedule, expected = CASES[name]
    found = keras.ops.convert_to_numpy(schedule(keras.ops.arange(6)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@each
def test_the_config_is_json_and_makes_the_same_schedule(name, rates):
    schedule, expected = CASES[name]
    config = json.loads(json.dumps(KERAS.serialize(schedule)))
    assert config["registered_name"] == f"kerastrain>{name}"
    restored = KERAS.deserialize(config)
    assert type(restored) is type(schedule)
    assert restored.get_config() == schedule.get_config()
    np.testing.assert_allclose(rates(restored, range(6)), expected, rtol=1e-6)


@each
def test_the_config_holds_every_argument(name):
    schedule, _ = CASES[name]
    assert list(schedule.get_config()) == list(inspect.signature(type(schedule)).parameters)
    assert type(schedule).from_config({**schedule.get_config(), "name": "other"}).name == "other"
    assert schedule.name == name


@each
@pytest.mark.backend
def test_sgd_moves_by_the_rate_of_each_step(name, trained_weight):
    schedule, expected = CASES[name]
    assert trained_weight(schedule, 6) == pytest.approx(-sum(expected), rel=1e-5)


def test_compiled_by_xla(trained_weight):
    # Every schedule of the family in one graph.
    parts = [(schedule, 2) for schedule, _ in CASES.values()]
    expected = sum(sum(first[:2]) for _, first in CASES.values()) + 2 * 0.1
    found = trained_weight(Sequence([*parts, 0.1]), 2 * len(parts) + 2, jit_compile=True)
    assert found == pytest.approx(-expected, rel=1e-5)


def test_a_saved_model_continues_at_its_step(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(Warmup(Sequence([(0.4, 2), StepDecay(0.2, 0.5, 3)]), 4)), loss="mse")
    model.fit(np.ones((9, 1)), np.ones((9, 1)), batch_size=1, verbose=0)
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    # Step 9 is the Sequence's step 5 and StepDecay's step 3.
    assert int(restored.optimizer.iterations) == 9
    assert float(restored.optimizer.learning_rate) == pytest.approx(0.1, rel=1e-6)


def test_float64_where_keras_is_set_to_it(rates):
    # On TensorFlow: Keras's JAX and torch narrow float64.
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        found = rates(StepDecay(0.3, 0.9, 1), range(50))
    finally:
        keras.config.set_floatx(before)
    np.testing.assert_allclose(found, [0.3 * 0.9**step for step in range(50)], rtol=1e-14)
