"""A run that is cut off at any place goes on by the same call, and ends as the one that nothing happened to."""

import csv

import keras
import numpy as np
import pytest
from training_probes import PowerCut

from kerastrain import experiments, plots
from kerastrain._core.errors import RefusedError
from kerastrain.experiments.fit import EpochRecorder

STEPS = 4  # of an epoch: 61 images in batches of 16


def everything(**changes):
    """A recipe with all that has a state: dropout, seeds, statistics, averages, plateaus, stopping, augmentation."""
    overrides = {
        "model.widths": [4, 8],
        "model.blocks": 1,
        "model.dropout": 0.2,
        "data.validation": 21,
        "data.augment": {"crop": 2, "flip": "random", "layers": [{"type": "mix_up", "alpha": 0.4}]},
        "optimizer.averaging": {"type": "exponential", "decay": 0.9},
        "training": {"batch_size": 16, "epochs": 3, "precision": "float32", "steps_per_execution": 1, "seed": 1},
        "callbacks": [
            {"type": "resumable_checkpoint", "every_steps": 1},
            {"type": "reduce_on_plateau", "patience": 1},
            {"type": "early_stopping", "patience": 1, "monitor": "val_loss", "restore_best_weights": True},
        ],
        **changes,
    }
    return experiments.load("convnet", overrides)


@pytest.fixture(scope="module")
def one_hot(tiny):
    """The tiny data with labels to mix."""
    parts = [
        (inputs, np.eye(3, dtype=np.float32)[labels]) for inputs, labels in (tiny.train, tiny.validation, tiny.test)
    ]
    return experiments.PreparedData(*parts, tiny.class_names, tiny.description, tiny.fingerprint)


def outcome(folder, result):
    """All that the run left, less its times."""
    with (folder / "history.csv").open(newline="") as stream:
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(stream)]
    weights = keras.saving.load_model(folder / "model.keras", compile=False).get_weights()
    return rows, {role: result[role] for role in ("train", "val", "test", "epochs", "status")}, weights


@pytest.fixture(scope="module")
def undisturbed(one_hot, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    return outcome(folder, experiments.run(everything(), folder, data=one_hot, callbacks=[PowerCut(0)]))


def test_the_seconds_of_earlier_processes_count_and_a_rollback_is_no_resume():
    recorder = EpochRecorder()
    row = {"epoch": 0, "loss": 1.0, "seconds": 900.0}
    recorder.load_state_dict({"rows": [row], "seconds": 1000.0, "resumed": 2})
    assert recorder.resumed == 3 and recorder.earlier_seconds == 1000.0 <= recorder.seconds < 1100.0
    recorder.on_epoch_begin(1)
    state = recorder.state_dict()
    assert state["resumed"] == 3 and 1000.0 <= state["seconds"] < 1100.0
    recorder.load_state_dict(state)
    assert recorder.resumed == 3 and recorder.earlier_seconds == 1000.0 and recorder.rows == [row]


@pytest.mark.backend
@pytest.mark.parametrize(
    "cuts", [[STEPS + 2, 3], *[pytest.param([cut], marks=pytest.mark.slow) for cut in (1, STEPS, 3 * STEPS)]]
)
def test_a_run_that_is_cut_off_ends_the_same(cuts, undisturbed, one_hot, tmp_path):
    folder, told = tmp_path / "run", []
    for cut in cuts:
        with pytest.raises(OSError, match="power cut"):
            experiments.run(everything(), folder, data=one_hot, callbacks=[PowerCut(cut)])
    result = experiments.run(everything(), folder, data=one_hot, callbacks=[PowerCut(0)], announce=told.append)
    rows, found, weights = outcome(folder, result)
    assert rows == undisturbed[0]
    assert found == undisturbed[1]
    for left, right in zip(weights, undisturbed[2], strict=True):
        np.testing.assert_array_equal(left, right)
    assert cuts == [1] or any("training goes on in" in line for line in told)
    # Cut off in its first step there is no checkpoint yet.
    assert result["resumed"] == (0 if cuts == [1] else len(cuts)) and result["seconds"] >= result["training_seconds"]


def test_a_run_that_was_cut_off_after_its_training_is_only_evaluated(one_hot, tmp_path, undisturbed, monkeypatch):
    folder, told = tmp_path / "run", []

    def cut(*arguments, **options):
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(plots, "curves", cut)  # what a run does first when its training is over
        with pytest.raises(OSError, match="power cut"):
            experiments.run(everything(), folder, data=one_hot, callbacks=[PowerCut(0)])
    result = experiments.run(everything(), folder, data=one_hot, callbacks=[PowerCut(1)], announce=told.append)
    assert outcome(folder, result)[:2] == undisturbed[:2]
    assert any("this training is finished" in line for line in told)


def test_other_data_under_the_same_name_are_refused(one_hot, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(OSError, match="power cut"):
        experiments.run(everything(), folder, data=one_hot, callbacks=[PowerCut(2)])
    images = one_hot.train[0].copy()
    images[5, 0, 0, 0] ^= 1
    changed = experiments.PreparedData(
        (images, one_hot.train[1]), one_hot.validation, one_hot.test, one_hot.class_names, "tiny", "0" * 16
    )
    with pytest.raises(RefusedError, match=r"holds another training.*data\.sha256\.inputs"):
        experiments.run(everything(), folder, data=changed, callbacks=[PowerCut(0)])
