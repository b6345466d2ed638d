"""What holds for every public layer: saved and loaded, trained with jit and without, in half precision, everywhere."""

import json

import keras
import numpy as np
import pytest
from layer_parts import MAKE
from settings import ROWS

JITS = {"jax": [True], "torch": [False]}.get(keras.backend.backend(), [False, True])

pytestmark = pytest.mark.backend


def network(name):
    keras.utils.set_random_seed(0)
    make, inputs = MAKE[name]
    model = keras.Sequential(
        [
            keras.Input(inputs.shape[1:]),
            make(),
            keras.layers.Flatten(dtype="float32"),
            keras.layers.Dense(2, name="head", dtype="float32"),
        ],
        name="network",
    )
    return model, inputs


def trained(name, **options):
    model, inputs = network(name)
    targets = np.random.default_rng(2).normal(size=(len(inputs), 2)).astype(np.float32)
    model.compile(keras.optimizers.SGD(0.01), loss="mse", **options)
    history = model.fit(inputs, targets, batch_size=10, epochs=2, shuffle=False, verbose=0)  # 10 and 6 samples
    assert np.isfinite(history.history["loss"]).all()
    return model, inputs


def test_every_layer_is_made():
    assert set(MAKE) == {name for name, row in ROWS.items() if row.kind == "layer"}


@pytest.mark.parametrize("name", MAKE)
def test_it_is_registered_and_its_config_makes_it_again(name):
    layer = MAKE[name][0]()
    assert keras.saving.get_registered_name(type(layer)) == f"kerastrain>{type(layer).__name__}"
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(serialized)
    assert type(again) is type(layer)
    assert json.dumps(again.get_config(), sort_keys=True) == json.dumps(layer.get_config(), sort_keys=True)


@pytest.mark.parametrize("jit", JITS)
@pytest.mark.parametrize("name", MAKE)
def test_it_trains_and_is_saved_and_loaded(name, jit, tmp_path):
    model, inputs = trained(name, jit_compile=jit)
    expected = model.predict(inputs, verbose=0)
    if jit != JITS[0]:  # The file knows of no jit.
        np.testing.assert_allclose(keras.ops.convert_to_numpy(model(inputs)), expected, rtol=1e-4, atol=1e-5)
        return
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()
    np.testing.assert_allclose(loaded.predict(inputs, verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", MAKE)
def test_it_computes_in_half_precision(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        layer = MAKE[name][0]()
        model = keras.Sequential([keras.Input(MAKE[name][1].shape[1:]), layer])
        for training in (False, True):
            outputs = model(MAKE[name][1], training=training)
            assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
            assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32"))).all()
    finally:
        keras.config.set_dtype_policy("float32")
