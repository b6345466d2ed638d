"""What hangs on the backend in a run: dictionaries of inputs, several steps a call, TensorFlow for the logs."""

import importlib.util

import keras
import numpy as np
import pytest

from kerastrain import datasets, experiments
from kerastrain._core import accelerator
from kerastrain._core.errors import InputError
from kerastrain.experiments import execution
from kerastrain.experiments.build import training_batches


def part(samples, generator):
    images = generator.integers(0, 256, (samples, 8, 8, 3), dtype=np.uint8)
    return {"image": images, "histogram": datasets.color_histogram(images)}, generator.integers(0, 3, samples)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    parts = [part(samples, generator) for samples in (29, 9, 9)]
    return experiments.PreparedData(*parts, class_names=("a", "b", "c"), description="random", fingerprint="0" * 16)


def recipe(**training):
    small = {"widths": [4], "blocks": 1, "histogram_units": 3, "joint_units": 4}
    chosen = {"batch_size": 8, "epochs": 2, "precision": "float32", **training}
    overrides = {f"model.{key}": value for key, value in small.items()}
    overrides |= {f"training.{key}": value for key, value in chosen.items()}
    return experiments.load("multi_input", overrides)


@pytest.mark.backend
def test_a_dictionary_of_inputs_is_trained_as_batch_by_batch_by_hand(data):
    # 29 samples are three batches of 8 and one of 5; where the backend can, all four are one call.
    model = experiments.build(recipe(), data)
    assert model.steps_per_execution == (1 if keras.backend.backend() == "torch" else 4)
    experiments.fit(recipe(), model, data)

    by_hand = recipe(steps_per_execution=1)
    expected, batches = experiments.build(by_hand, data), training_batches(by_hand, data)
    for epoch in range(2):
        batches.start(epoch)
        for index in range(4):
            expected.train_on_batch(*batches[index])
    for found, wanted in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.backend
def test_without_tensorflow_a_run_has_no_logs_and_says_so(data, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "tensorflow" else find_spec(name, *rest)
    )
    told = []
    result = experiments.run(recipe(epochs=1), tmp_path / "run", data=data, announce=told.append)
    assert result["status"] == "finished"
    assert any("TensorBoard" in line and "not installed" in line for line in told)
    assert not (tmp_path / "run" / "logs").exists()


def test_several_steps_a_call_are_refused_on_torch_before_anything_is_trained(data, monkeypatch):
    model = experiments.build(recipe(), data)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    monkeypatch.setattr(accelerator, "device_name", lambda: None)

    def choose(asked):
        return execution.choose_execution(
            model, precision=("float32", ""), steps=4, batch_size=8, asked_steps=asked, asked_jit="auto"
        )

    with pytest.raises(InputError, match=r"`steps_per_execution` must be 1 or auto on the torch backend.*3"):
        choose(3)
    assert choose("auto").steps_per_execution == choose(1).steps_per_execution == 1
