"""What Keras's own callbacks remember, kept over an interruption; each beside the one that was not interrupted."""

import csv

import keras
import numpy as np
import pytest
from training_probes import Training

from kerastrain.callbacks import StatefulCallback, keras_states

VALUES = [0.9, 0.5, 0.6, 0.7, 0.4, 0.8, 0.85, 0.95]


class Sets(StatefulCallback):
    """Puts a made-up `value` into the logs, so that it is known what the others must do."""

    def on_epoch_end(self, epoch, logs=None):
        logs["value"] = VALUES[epoch]


def training(folder, make, at=None, epochs=8):
    made = Training(folder, callbacks=lambda: [Sets(), make()], at=at)
    return made.crashes(epochs) if at is not None else made.run(epochs)


def interrupted(folder, make, at, epochs=8):
    training(folder, make, at, epochs)
    return training(folder, make, None, epochs)


def rates(run):
    return [float.fromhex(run.steps.rows[place][2]) for place in sorted(run.steps.rows) if place[1] == 0]


@pytest.mark.parametrize("at", [(3, 2), pytest.param((4, 0), marks=pytest.mark.slow)])
def test_early_stopping_counts_on(at, tmp_path):
    def make():
        return keras.callbacks.EarlyStopping("value", mode="min", patience=3, restore_best_weights=True)

    whole, resumed = training(tmp_path / "a", make), interrupted(tmp_path / "b", make, at)
    # The best is the fifth, and three that are worse follow it.
    assert whole.history.epoch == resumed.history.epoch == list(range(8))
    callback = resumed.others[1]
    assert (callback.best, callback.best_epoch, callback.stopped_epoch, callback.wait) == (0.4, 4, 7, 3)
    assert resumed.everything() == whole.everything()


def test_early_stopping_keeps_the_best_weights_of_before(tmp_path):
    def make():
        return keras.callbacks.EarlyStopping("value", mode="min", patience=2, restore_best_weights=True)

    resumed = interrupted(tmp_path / "b", make, (3, 1))
    assert resumed.others[1].stopped_epoch == 3 and resumed.others[1].best_epoch == 1
    best = training(tmp_path / "c", lambda: Sets(), epochs=2)
    for found, expected in zip(resumed.model.get_weights(), best.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_reduce_lr_on_plateau_counts_on_with_its_cooldown(tmp_path):
    def make():
        return keras.callbacks.ReduceLROnPlateau("value", factor=0.5, patience=2, cooldown=2, min_delta=0, mode="min")

    resumed = interrupted(tmp_path, make, (3, 1))
    # Two epochs, the third and the fourth, do not improve: halved after the fourth. The fifth improves. The next two
    # that do not are the sixth and the seventh, when the cooldown is over: halved after the seventh.
    np.testing.assert_allclose(rates(resumed), [0.05, 0.025, 0.025, 0.025, 0.0125], rtol=1e-6)


def test_reduce_lr_on_plateau_within_the_cooldown(tmp_path):
    def make():
        return keras.callbacks.ReduceLROnPlateau("value", factor=0.5, patience=1, cooldown=3, min_delta=0, mode="min")

    whole, resumed = training(tmp_path / "a", make), interrupted(tmp_path / "b", make, (4, 0))
    assert rates(resumed) == rates(whole)[4:] and len(set(rates(whole))) > 1
    assert resumed.everything() == whole.everything()


def test_model_checkpoint_remembers_the_best(tmp_path):
    def run(folder, at=None):
        def make():
            options = {"save_best_only": True, "save_weights_only": True, "mode": "min"}
            return keras.callbacks.ModelCheckpoint(folder / "{epoch}.weights.h5", "value", **options)

        return interrupted(folder, make, at) if at else training(folder, make)

    whole, resumed = run(tmp_path / "a"), run(tmp_path / "b", (3, 2))
    # Better than all before: the first, second and fifth epoch.
    for folder in "ab":
        names = sorted(path.name for path in (tmp_path / folder).glob("*.h5"))
        assert names == ["1.weights.h5", "2.weights.h5", "5.weights.h5"]
    assert resumed.others[1].best == whole.others[1].best == 0.4


def test_model_checkpoint_by_steps_counts_on(tmp_path):
    def make():
        return keras.callbacks.ModelCheckpoint(tmp_path / "m.weights.h5", save_freq=4, save_weights_only=True)

    first = Training(tmp_path, callbacks=lambda: [make()], every_steps=1, at=(0, 3)).crashes(1)
    assert first.others[0]._batches_seen_since_last_saving == 0
    second = Training(tmp_path, callbacks=lambda: [make()], every_steps=1, at=(0, 5)).crashes(1)
    # Three steps are saved; the fourth is the fourth since the last time, and two more follow.
    assert second.others[0]._batches_seen_since_last_saving == 2


@pytest.mark.slow
@pytest.mark.parametrize("append", [False, True])
def test_the_csv_file_has_each_epoch_once(append, tmp_path):
    def run(folder, at=None):
        folder.mkdir(exist_ok=True)

        def make():
            return keras.callbacks.CSVLogger(folder / "log.csv", append=append)

        return interrupted(folder, make, at, 4) if at else training(folder, make, epochs=4)

    run(tmp_path / "a")
    run(tmp_path / "b", (2, 3))
    text = [(tmp_path / folder / "log.csv").read_text() for folder in "ab"]
    assert text[0] == text[1]
    assert [row["epoch"] for row in csv.DictReader(text[1].splitlines())] == ["0", "1", "2", "3"]


def test_the_csv_file_loses_the_row_of_an_epoch_that_is_trained_again(tmp_path):
    path = tmp_path / "log.csv"

    def run(at=None):
        made = Training(tmp_path, callbacks=lambda: [keras.callbacks.CSVLogger(path)], at=at)
        return made.crashes(3) if at else made.run(3)

    # `Steps` stands behind the logger and before the checkpoint: the row is written, and its epoch not saved.
    run((1, "end"))
    assert len(path.read_text().splitlines()) == 3
    run()
    assert [row["epoch"] for row in csv.DictReader(path.read_text().splitlines())] == ["0", "1", "2"]


def test_tensorboard_counts_its_steps_on(tmp_path):
    def make():
        return keras.callbacks.TensorBoard(tmp_path / "logs", update_freq=1)

    crashed = Training(tmp_path, callbacks=lambda: [make()], at=(1, 3), every_steps=1).crashes(2)
    assert crashed.others[0]._global_train_batch == 10
    resumed = Training(tmp_path, callbacks=lambda: [make()], every_steps=1).run(2)
    # 12 steps of training; 1 of validation in each of two epochs.
    assert (resumed.others[0]._global_train_batch, resumed.others[0]._global_test_batch) == (12, 2)


def test_every_callback_of_keras_is_looked_after_or_told_of():
    public = {
        name
        for name in dir(keras.callbacks)
        if isinstance(getattr(keras.callbacks, name), type)
        and issubclass(getattr(keras.callbacks, name), keras.callbacks.Callback)
    }
    known = {kind.__name__ for kind in keras_states._STATE} | {"Callback"}
    # CallbackList is none; BackupAndRestore is refused; the others are told of at the beginning of `fit`.
    assert public - known == {"CallbackList", "BackupAndRestore", "OrbaxCheckpoint", "SwapEMAWeights"}
    assert known <= public


def test_the_attributes_that_are_kept_are_still_keras(tmp_path):
    arguments = {"ModelCheckpoint": (tmp_path / "a.keras",), "LearningRateScheduler": (float,), "CSVLogger": ("a",)}
    for kind, names in keras_states._STATE.items():
        made = kind(*arguments.get(kind.__name__, ()))
        if kind in (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau, keras.callbacks.History):
            made.on_train_begin()
        assert [name for name in names if not hasattr(made, name)] == []


def test_a_subclass_is_not_known_and_one_with_a_state_dict_is():
    class Own(keras.callbacks.EarlyStopping):
        pass

    assert not keras_states.is_known(Own())
    assert keras_states.state_of(Own())["wait"] == 0
    assert keras_states.is_known(Sets()) and keras_states.is_known(keras.callbacks.EarlyStopping())
    assert keras_states.is_known(keras.callbacks.Callback())
