"""What holds for every public part of an optimizer: saved and loaded, jit, precision, on every backend."""

import functools
import json
import types

import keras
import numpy as np
import pytest
from optimizer_parts import MAKE
from settings import ROWS

PARTS = ("rule", "optimizer", "transform", "averaging", "group", "schedule")
BACKEND = keras.backend.backend()
UPDATING = [name for name in MAKE if ROWS[name].kind != "schedule"]

pytestmark = pytest.mark.backend


def trained(optimizer, *, policy="float32", **compiled):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(5, activation="tanh", name="trunk"),
                keras.layers.Dense(2, name="head", dtype="float32"),
            ],
            name="network",
        )
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(optimizer, loss="mse", **{"jit_compile": BACKEND == "jax", **compiled})
    fit(model)
    return model


def fit(model):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(32, 4)).astype(np.float32)
    model.fit(inputs, inputs[:, :2] - inputs[:, 2:], batch_size=8, shuffle=False, verbose=0)


def state(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in [*model.weights, *model.optimizer.variables]]


def assert_equal_bits(ones, others):
    for left, right in zip(ones, others, strict=True):
        assert left.tobytes() == right.tobytes()


@pytest.fixture(scope="module")
def run(request, tmp_path_factory):
    """A training with the optimizer of a name: the state after an epoch, its file, and the state after another epoch.

    All tests of a name come one after another, so that it is trained once.
    """
    name = request.param
    model = trained(MAKE[name]())
    file = tmp_path_factory.mktemp("run") / "model.keras"
    model.save(file)
    weights, first = model.get_weights(), state(model)
    fit(model)
    return types.SimpleNamespace(name=name, file=file, weights=weights, first=first, second=state(model))


@functools.cache
def untrained():
    return trained(keras.optimizers.SGD(0.0)).get_weights()


every_run = pytest.mark.parametrize("run", MAKE, indirect=True, scope="module")
every_updating_run = pytest.mark.parametrize("run", UPDATING, indirect=True, scope="module")


def test_every_part_has_an_optimizer():
    assert set(MAKE) == {name for name, row in ROWS.items() if row.kind in PARTS}


@pytest.mark.parametrize("name", MAKE)
def test_the_config_makes_it_again(name):
    optimizer = MAKE[name]()
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(optimizer)))
    again = keras.saving.deserialize_keras_object(serialized)
    assert type(again) is type(optimizer)
    assert json.dumps(again.get_config(), sort_keys=True) == json.dumps(optimizer.get_config(), sort_keys=True)
    # What both configs lack shows in the first steps, which need no graph for that.
    one, other = (trained(each, run_eagerly=BACKEND == "tensorflow") for each in (optimizer, again))
    assert_equal_bits(state(one), state(other))


@every_run
def test_a_saved_model_goes_on_to_the_bit(run):
    loaded = keras.saving.load_model(run.file)
    assert_equal_bits(run.first, state(loaded))
    fit(loaded)
    assert_equal_bits(run.second, state(loaded))


@every_updating_run
def test_it_moves_the_weights_and_with_jit_to_the_same_place(run):
    if BACKEND == "torch":
        pytest.skip("torch compiles with Inductor, which takes minutes here")
    model = trained(MAKE[run.name](), jit_compile=True)
    assert any((one != other).any() for one, other in zip(model.get_weights(), untrained(), strict=True))
    # Without jit on TensorFlow, whose run here is a graph; XLA draws other numbers from the same seed.
    if run.name != "optimizers.AddGradientNoise":
        for left, right in zip(run.first, state(model), strict=True):
            np.testing.assert_allclose(left, right, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@every_updating_run
def test_under_mixed_precision(run, policy):
    # Of the two, float16 has the more in its compiled step, the scaling of the loss.
    model = trained(MAKE[run.name](), policy=policy, run_eagerly=BACKEND == "tensorflow" and policy == "mixed_bfloat16")
    assert hasattr(model.optimizer, "inner_optimizer") == (policy == "mixed_float16")
    # Near the run in full precision, which a wrong cast, a scaled gradient or a skipped step would not be.
    for left, right in zip(run.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=0.08)
