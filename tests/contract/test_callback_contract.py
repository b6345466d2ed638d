"""What holds for every public callback: a fit on every backend, and a state that goes through JSON and arrays."""

import json

import keras
import numpy as np
import pytest
from callback_parts import MAKE
from settings import ROWS

from kerastrain.optimizers import ComposedOptimizer, MomentumSGD, ParameterGroup, PolyakAveraging

pytestmark = pytest.mark.backend
INPUTS = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
TARGETS = (INPUTS[:, :2] - INPUTS[:, 2:]).astype(np.float32)


def network():
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(5, activation="tanh", name="trunk"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dense(2, name="head"),
    ]
    model = keras.Sequential(layers, name="network")
    optimizer = ComposedOptimizer(
        MomentumSGD(keras.optimizers.schedules.InverseTimeDecay(0.1, 10, 1.0)),
        groups=[ParameterGroup(r"(^|/)trunk/", trainable=False, name="trunk")],
        averaging=PolyakAveraging(),
    )
    model.compile(optimizer, loss="mse")
    return model


def fit(model, callback, epochs=2):
    options = {"batch_size": 8, "epochs": epochs, "shuffle": False, "verbose": 0}
    return model.fit(INPUTS, TARGETS, validation_data=(INPUTS, TARGETS), callbacks=[callback], **options)


def parts(value, place=()):
    """The leaves of a state, by place."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        found = {place: type(value)}
        for key, item in pairs:
            found |= parts(item, (*place, key))
        return found
    return {place: (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value}


def stored(state, folder):
    """The state after a way through a JSON file and one file for each array."""
    arrays = []

    def told(value):
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        if isinstance(value, dict):
            return {"items": {key: told(item) for key, item in value.items()}}
        return [told(item) for item in value] if isinstance(value, list) else value

    def read(value):
        if isinstance(value, dict):
            if "array" in value:
                return np.load(folder / f"{value['array']}.npy", allow_pickle=False)
            return {key: read(item) for key, item in value["items"].items()}
        return [read(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(told(state))
    for place, array in enumerate(arrays):
        np.save(folder / f"{place}.npy", array, allow_pickle=False)
    return read(json.loads(text))


def test_every_callback_is_made():
    assert set(MAKE) == {name for name, row in ROWS.items() if row.kind == "callback"}


@pytest.mark.parametrize("name", MAKE)
def test_two_epochs_and_its_state_is_stored_and_loaded(name, tmp_path):
    model = network()
    callback = MAKE[name](tmp_path / "one")
    history = fit(model, callback)
    assert history.epoch == [0, 1] and np.isfinite(history.history["loss"]).all()
    state = callback.state_dict()
    assert set(state) == set(callback.state_names)
    again = stored(state, tmp_path)
    assert parts(again) == parts(state)
    other = network()
    resumed = MAKE[name](tmp_path / "one")
    resumed.set_model(other)
    resumed.on_train_begin()
    resumed.load_state_dict(again)
    assert parts(resumed.state_dict()) == parts(state)


@pytest.mark.parametrize("name", MAKE)
def test_a_second_fit_begins_anew(name, tmp_path):
    callback, models = MAKE[name](tmp_path), [network(), network()]
    states = []
    for model in models:
        fit(model, callback)
        states.append(parts(callback.state_dict()))
    assert states[0] == states[1]
