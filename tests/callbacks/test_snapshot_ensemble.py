import keras
import numpy as np
import pytest
from callback_probes import AtEpochEnd
from optimizer_probes import array, numbers

from kerastrain._core.errors import InputError
from kerastrain.callbacks import SnapshotEnsemble
from kerastrain.topologies import voting_ensemble_of

INPUTS = numbers(12, 3)
LABELS = np.arange(12) % 2


def classifier():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, activation="tanh", name="trunk"), keras.layers.Dense(2, "softmax", name="head")]
    model = keras.Sequential([keras.Input((3,)), *layers], name="classifier")
    schedule = keras.optimizers.schedules.CosineDecayRestarts(0.5, first_decay_steps=6, t_mul=1.0)
    model.compile(keras.optimizers.SGD(schedule), loss="sparse_categorical_crossentropy")
    return model


def train(model, *callbacks, **options):
    options = {"batch_size": 4, "epochs": 6, "shuffle": False, "verbose": 0, **options}
    model.fit(INPUTS, LABELS, callbacks=list(callbacks), **options)


def weights(model):
    return [array(weight) for weight in model.weights]


@pytest.mark.backend
@pytest.mark.parametrize(("when", "after"), [({"every_epochs": 2}, [2, 4, 6]), ({"after_epochs": [1, 5]}, [1, 5])])
def test_the_files_hold_the_models_of_those_epochs(when, after, tmp_path):
    snapshots, seen = SnapshotEnsemble(tmp_path / "new" / "folder", **when), AtEpochEnd(weights)
    train(classifier(), snapshots, seen)
    assert [path.name for path in snapshots.paths] == [f"snapshot_000{epochs}.keras" for epochs in after]
    assert sorted((tmp_path / "new" / "folder").iterdir()) == snapshots.paths
    for path, epochs in zip(snapshots.paths, after, strict=True):
        for one, other in zip(weights(keras.saving.load_model(path)), seen.found[epochs - 1], strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.backend
def test_their_vote_is_the_mean_of_their_answers(tmp_path):
    snapshots, seen = SnapshotEnsemble(str(tmp_path), every_epochs=2), AtEpochEnd(weights)
    train(classifier(), snapshots, seen)
    ensemble = voting_ensemble_of(snapshots.paths[-2:])
    answers = []
    for kernel, bias, head, offset in (seen.found[3], seen.found[5]):
        logits = np.tanh(INPUTS @ kernel + bias) @ head + offset
        answers.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(ensemble.predict(INPUTS, verbose=0), np.mean(answers, axis=0), rtol=1e-4, atol=1e-6)


def test_a_resumed_training_knows_its_snapshots(tmp_path):
    before, after = SnapshotEnsemble(tmp_path, every_epochs=2), SnapshotEnsemble(tmp_path, every_epochs=2)
    model = classifier()
    train(model, before, epochs=3)

    class Load(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            after.load_state_dict(before.state_dict())

    train(model, after, Load(), initial_epoch=3)
    assert [path.name for path in after.paths] == [f"snapshot_000{epochs}.keras" for epochs in (2, 4, 6)]
    after.paths[0].unlink()
    with pytest.raises(InputError, match=r"must be there. Missing: .*snapshot_0002.keras"):
        SnapshotEnsemble(tmp_path, every_epochs=2).load_state_dict(after.state_dict())


def test_a_write_that_fails_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch):
    train(classifier(), SnapshotEnsemble(tmp_path, every_epochs=6))
    (old,) = tmp_path.iterdir()
    content, model = old.read_bytes(), classifier()

    def fails(path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(model, "save", fails)
    snapshots = SnapshotEnsemble(tmp_path, every_epochs=6)
    with pytest.raises(OSError, match="disk full"):
        train(model, snapshots)
    assert list(tmp_path.iterdir()) == [old] and old.read_bytes() == content and snapshots.paths == []


@pytest.mark.parametrize("when", [{"every_epochs": 7}, {"after_epochs": [2, 7]}])
def test_a_cycle_that_would_not_end_is_refused_before_the_first_step(when, tmp_path):
    snapshots, seen = SnapshotEnsemble(tmp_path / "folder", **when), AtEpochEnd(weights)
    with pytest.raises(InputError, match=r"must end a cycle within the 6 epochs of the training. Received: 7"):
        train(classifier(), snapshots, seen)
    assert seen.found == [] and not (tmp_path / "folder").exists()


def test_a_file_in_the_place_of_the_folder_is_refused_at_the_beginning(tmp_path):
    (tmp_path / "file").write_text("the user's own")
    for folder in ("file", "file/below"):
        with pytest.raises(InputError, match=r"`folder` needs a folder. Received: .* is a file"):
            SnapshotEnsemble(tmp_path / folder, every_epochs=1).on_train_begin()


INVALID = {
    "`folder` must be a path": {"folder": 3, "every_epochs": 1},
    "One of `every_epochs` and `after_epochs`": {},
    "One of `every_epochs` and .* Received: every_epochs=2": {"every_epochs": 2, "after_epochs": [2]},
    "`every_epochs` must be a whole number >= 1": {"every_epochs": 0},
    "`after_epochs` must be a list": {"after_epochs": 3},
    r"`after_epochs\[1\]` must be a whole number >= 1": {"after_epochs": [1, 0]},
    "`after_epochs` must rise": {"after_epochs": [2, 2]},
}


@pytest.mark.parametrize("message", INVALID)
def test_arguments_out_of_range(message):
    with pytest.raises(InputError, match=message):
        SnapshotEnsemble(**{"folder": "folder", **INVALID[message]})
