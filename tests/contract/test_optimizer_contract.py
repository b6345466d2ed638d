"""What holds for every public part of an optimizer: saved and loaded, jit, precision, on every backend."""

import json

import keras
import numpy as np
import pytest
from optimizer_parts import MAKE
from settings import ROWS

PARTS = ("rule", "optimizer", "transform", "averaging", "group", "schedule")
JITS = [True] if keras.backend.backend() == "jax" else [False, True]

pytestmark = pytest.mark.backend


def trained(optimizer, *, jit="auto", policy="float32", epochs=1):
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
    model.compile(optimizer, loss="mse", jit_compile=jit)
    fit(model, epochs)
    return model


def fit(model, epochs=1):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(32, 4)).astype(np.float32)
    model.fit(inputs, inputs[:, :2] - inputs[:, 2:], batch_size=8, epochs=epochs, shuffle=False, verbose=0)


def state(model):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in [*model.weights, *model.optimizer.variables]]


def test_every_part_has_an_optimizer():
    assert set(MAKE) == {name for name, row in ROWS.items() if row.kind in PARTS}


@pytest.mark.parametrize("name", MAKE)
def test_the_config_makes_it_again(name):
    optimizer = MAKE[name]()
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(optimizer)))
    again = keras.saving.deserialize_keras_object(serialized)
    assert type(again) is type(optimizer)
    assert json.dumps(again.get_config(), sort_keys=True) == json.dumps(optimizer.get_config(), sort_keys=True)
    one, other = trained(optimizer), trained(again)
    for left, right in zip(state(one), state(other), strict=True):
        assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("name", MAKE)
def test_a_saved_model_goes_on_to_the_bit(name, tmp_path):
    model = trained(MAKE[name]())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for left, right in zip(state(model), state(loaded), strict=True):
        assert left.tobytes() == right.tobytes()
    fit(model)
    fit(loaded)
    for left, right in zip(state(model), state(loaded), strict=True):
        assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("name", [name for name in MAKE if ROWS[name].kind != "schedule"])
def test_with_and_without_jit(name):
    if keras.backend.backend() == "torch":
        pytest.skip("torch compiles with Inductor, which takes minutes here")
    models = [trained(MAKE[name](), jit=jit) for jit in JITS]
    before = trained(keras.optimizers.SGD(0.0))
    assert any((one != other).any() for one, other in zip(models[0].get_weights(), before.get_weights(), strict=True))
    if name == "optimizers.AddGradientNoise":
        return  # XLA draws other numbers from the same seed.
    for model in models[1:]:
        for left, right in zip(state(models[0]), state(model), strict=True):
            np.testing.assert_allclose(left, right, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", [name for name in MAKE if ROWS[name].kind != "schedule"])
def test_under_mixed_precision(name, policy):
    expected = trained(MAKE[name]())
    model = trained(MAKE[name](), policy=policy)
    assert hasattr(model.optimizer, "inner_optimizer") == (policy == "mixed_float16")
    # Near the run in full precision, which a wrong cast, a scaled gradient or a skipped step would not be.
    for left, right in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=0.08)
