"""`data.augment.resolutions`: smaller images for the first part of a recipe's training."""

import keras
import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core.errors import InputError
from kerastrain.experiments.build import stages_left_out, training_batches

STAGES = [{"size": 12, "until": 0.3}, {"size": 20, "until": 0.76}]


def recipe(**changes):
    overrides = {
        "model": {"topology": "airbench", "widths": [4, 4, 4]},
        "data.augment.resolutions": STAGES,
        "training.epochs": 4,
        "training.batch_size": 32,
        "data.name": "synthetic",
        "data.validation": 16,
        "data.train_limit": 64,
        **{path.replace("__", "."): value for path, value in changes.items()},
    }
    return experiments.load("convnet", overrides)


@pytest.mark.slow
@pytest.mark.backend
def test_stages_are_shares_of_the_training_and_the_model_keeps_its_size():
    made = recipe()
    data = experiments.prepare(made)
    batches = training_batches(made, data)
    sides = []
    for epoch in range(5):
        batches.start(epoch)
        sides.append(batches[0][0].shape[1])
    assert sides == [12, 20, 20, 32, 32]
    model = experiments.build(made, data)
    assert model.input_shape == (None, 32, 32, 3)
    history = experiments.fit(made, model, data).history
    assert np.isfinite([row["loss"] for row in history]).all()
    shorter = recipe(training__epochs=2)  # What is shorter than half an epoch is left out.
    assert training_batches(shorter, data).resolutions == ((12, 1), (20, 1))
    assert training_batches(recipe(training__epochs=1), data).resolutions == ((20, 1),)


def test_a_stage_without_an_epoch_is_told_and_its_size_checked_all_the_same():
    short = recipe(training__epochs=1, data__augment__resolutions=[{"size": 24, "until": 0.5}])
    assert stages_left_out(short) == ["No epoch has images of 24: `until: 0.5` of 1 rounds to none."]
    assert stages_left_out(recipe()) == []
    large = recipe(training__epochs=1, data__augment__resolutions=[{"size": 40, "until": 0.5}])
    with pytest.raises(InputError, match=r"`resolutions\[0\]` must be at most the shorter side .* 32. Received: 40"):
        training_batches(large, experiments.prepare(large))


def test_a_network_without_room_for_them_is_refused():
    made = recipe(data__augment__resolutions=[{"size": 4, "until": 0.5}])
    with pytest.raises(InputError, match=r"`data.augment.resolutions`.*does not take images of 4x4"):
        experiments.build(made, experiments.prepare(made))


def test_a_network_of_one_size_is_refused():
    made = experiments.load(
        "mlp_functional",
        {"data.augment.resolutions": STAGES, "data.name": "synthetic", "data.validation": 16, "data.train_limit": 64},
    )
    with pytest.raises(InputError, match="global pooling"):
        experiments.build(made, experiments.prepare(made))
    with pytest.raises(InputError, match=r"resolutions.*`multi_input` reads more"):
        experiments.load("multi_input", {"data.augment.resolutions": STAGES})


def test_the_finished_model_answers_at_its_own_size_alone(tmp_path):
    made = recipe(training__epochs=2)
    data = experiments.prepare(made)
    model = experiments.build(made, data)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="shape"):
        loaded(np.zeros((1, 20, 20, 3), np.float32))
