import csv
import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError, RefusedError, WorkFailedError

FILES = {"recipe.yaml", "result.json", "history.csv", "curves.png", "model.keras", "logs", "checkpoints"}


@pytest.fixture(scope="module")
def finished(tiny, tiny_recipe, tmp_path_factory):
    """A finished run: its folder, its result and what it told."""
    folder, told = tmp_path_factory.mktemp("finished") / "run", []
    return folder, experiments.run(tiny_recipe(), folder, data=tiny, announce=told.append), told


@pytest.mark.backend
def test_the_run_folder_and_its_result(finished, tiny_recipe):
    recipe, (folder, result, told) = tiny_recipe(), finished
    assert {entry.name for entry in folder.iterdir()} == FILES
    assert json.loads((folder / "result.json").read_text()) == result
    assert experiments.load(folder / "recipe.yaml") == recipe
    for role in ("train", "val", "test"):
        assert set(result[role]) == {"loss", "accuracy"}
    assert result["run"] == str(folder) and result["status"] == "finished" and result["epochs"] == 2
    assert result["seed"] == 0 and result["recipe_hash"] == recipe.hash()
    assert result["seconds"] >= result["training_seconds"] > 0 and result["images_per_second"] > 0
    assert result["data"]["samples"] == {"train": 61, "validation": 21, "test": 24}
    assert result["parameters"] == 8 * 8 * 3 * 6 + 6 + 6 * 3 + 3
    assert {"versions", "machine", "execution"} <= set(result)
    with (folder / "history.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert any("tiny" in line for line in told) and any("Chosen: precision float32" in line for line in told)
    assert list((folder / "logs").rglob("events.out.tfevents*"))


def test_metrics_are_of_the_whole_of_each_role(finished, tiny):
    folder, result, _ = finished
    model = keras.saving.load_model(folder / "model.keras")
    for name, role in (("train", "train"), ("val", "validation"), ("test", "test")):
        images, labels = getattr(tiny, role)
        probabilities = model.predict(images, verbose=0)
        assert result[name]["accuracy"] == pytest.approx((probabilities.argmax(axis=1) == labels).mean())
        loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
        assert result[name]["loss"] == pytest.approx(loss, rel=1e-4)


def outcome(recipe, data, folder):
    result = experiments.run(recipe, folder, data=data)
    model = keras.saving.load_model(folder / "model.keras")
    history = [
        {key: value for key, value in row.items() if key != "seconds"}
        for row in csv.DictReader((folder / "history.csv").open(newline=""))
    ]
    return (
        [np.array(value) for value in model.get_weights()],
        history,
        [result[role] for role in ("train", "val", "test")],
    )


@pytest.mark.parametrize("kind", [pytest.param("tiny_recipe", marks=pytest.mark.backend), "tiny_convnet"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(kind, tiny, tmp_path, request):
    made = request.getfixturevalue(kind)
    recipe = made() if kind == "tiny_recipe" else made
    first = outcome(recipe, tiny, tmp_path / "first")
    keras.utils.clear_session()
    second = outcome(recipe, tiny, tmp_path / "second")
    for one, other in zip(first[0], second[0], strict=True):
        assert one.tobytes() == other.tobytes()
    assert first[1:] == second[1:]
    plain = recipe.plain()
    plain["training"]["seed"] = 1
    other = experiments.Recipe.model_validate(plain)
    history = experiments.fit(other, experiments.build(other, tiny), tiny).history
    assert [row["loss"] for row in history] != [float(row["loss"]) for row in first[1]]


def test_a_finished_run_is_returned_and_nothing_is_trained(finished, tiny_recipe, monkeypatch):
    folder, result, _ = finished
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}

    def never(*args, **kwargs):
        raise AssertionError("trained")

    monkeypatch.setattr(keras.Model, "fit", never)
    told = []
    assert experiments.run(tiny_recipe(), folder, announce=told.append) == result
    assert times == {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}
    assert "nothing is trained" in told[0]


def test_another_recipe_is_refused_by_its_fields_and_overwrite_starts_again(finished, tiny, tiny_recipe, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RefusedError) as caught:
        experiments.run(tiny_recipe(training__seed=1, model__layers=[6, 7]), folder, data=tiny)
    assert "training.seed: 0 -> 1" in str(caught.value) and "model.layers[1].units: nothing -> 7" in str(caught.value)
    assert "--overwrite" in str(caught.value)
    result = experiments.run(tiny_recipe(training__seed=1), folder, data=tiny, overwrite=True)
    assert result["seed"] == 1
    assert (folder / "notes.txt").read_text() == "mine"


def test_bad_data_leaves_the_folder_as_it_is(tiny_file, tiny_recipe, tmp_path):
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    good.write_bytes(tiny_file.read_bytes())
    bad.write_bytes(b"")
    recipe, folder = tiny_recipe(data__name=str(good)), tmp_path / "run"
    result = experiments.run(recipe, folder)
    with pytest.raises(InputError):
        experiments.run(tiny_recipe(data__name=str(bad)), folder, overwrite=True)
    assert experiments.run(recipe, folder) == result
    with pytest.raises(InputError):
        experiments.run(tiny_recipe(data__name=str(bad)), tmp_path / "new")
    bad.write_bytes(good.read_bytes())
    assert experiments.run(tiny_recipe(data__name=str(bad)), tmp_path / "new")["status"] == "finished"


def test_a_diverged_run_leaves_no_result_and_cannot_be_taken_for_finished(tiny, tiny_recipe, tmp_path):
    recipe = tiny_recipe(optimizer__learning_rate=1e20)
    with pytest.raises(WorkFailedError, match="diverged"):
        experiments.run(recipe, tmp_path / "run", data=tiny)
    assert not (tmp_path / "run" / "result.json").exists()
    for overwrite in (False, True):
        with pytest.raises(WorkFailedError, match="diverged"):
            experiments.run(recipe, tmp_path / "run", data=tiny, overwrite=overwrite)


def test_an_interrupted_run_keeps_what_there_is(tiny, tiny_recipe, tmp_path):
    class Signals(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)

    folder = tmp_path / "run"
    recipe = tiny_recipe(training__steps_per_execution=1)
    result = experiments.run(recipe, folder, data=tiny, callbacks=[Signals()])
    assert (result["status"], result["stopped"], result["epochs"]) == ("interrupted", "SIGINT", 1)
    assert {entry.name for entry in folder.iterdir()} == FILES
    with (folder / "history.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert result["val"]["loss"] == float(row["val_loss"]) and result["train"]["accuracy"] == float(row["accuracy"])
    assert result["test"] is None
    keras.saving.load_model(folder / "model.keras")
    continued = experiments.run(recipe, folder, data=tiny)
    assert (continued["status"], continued["epochs"]) == ("finished", 2) and "stopped" not in continued


def test_a_signal_during_the_evaluation_keeps_the_training(tiny, tiny_recipe, tmp_path):
    def announce(line):
        evaluating.append(line.startswith("Evaluating"))

    evaluating = []
    evaluate = keras.Model.evaluate

    def evaluate_and_signal(self, *args, **kwargs):
        if any(evaluating):
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "evaluate", evaluate_and_signal)
        result = experiments.run(tiny_recipe(), tmp_path / "run", data=tiny, announce=announce)
    assert (result["status"], result["stopped"], result["epochs"]) == ("interrupted", "SIGTERM", 2)
    assert result["test"] is None and (tmp_path / "run" / "model.keras").is_file()


def test_the_history_is_on_disk_after_each_epoch(tiny, tiny_recipe, tmp_path):
    seen = []

    class Looks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(len((tmp_path / "run" / "history.csv").read_text().splitlines()))

    experiments.run(tiny_recipe(), tmp_path / "run", data=tiny, callbacks=[Looks()])
    assert seen == [2, 3]


def test_the_best_model_is_kept_when_it_is_asked_for(tiny, tiny_recipe, tmp_path):
    recipe = tiny_recipe(callbacks=[{"type": "best_model", "monitor": "val_loss"}])
    experiments.run(recipe, tmp_path / "run", data=tiny)
    assert (tmp_path / "run" / "best_model.keras").is_file()


def test_the_default_folder_goes_by_name_and_recipe(tiny, tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = experiments.run(tiny_recipe(), data=tiny)
    assert result["run"] == f"runs/tiny-{tiny_recipe().hash()}"
    assert (tmp_path / result["run"] / "result.json").is_file()


def test_data_by_path_is_loaded_and_split(tiny_file, tiny_recipe, tmp_path):
    recipe = tiny_recipe(data__name=str(tiny_file), data__validation=0.2)
    result = experiments.run(recipe, tmp_path / "run")
    assert result["data"]["samples"] == {"train": 48, "validation": 12, "test": 24}
    assert result["data"]["class_names"] == ["0", "1", "2"]
    assert yaml_document.read(tmp_path / "run" / "recipe.yaml").data["data"]["name"] == str(tiny_file)


def test_test_time_augmentation_is_evaluated_beside_the_plain_answer(tmp_path, tiny_recipe, tiny):
    recipe = tiny_recipe(evaluation__test_time_augmentation={"mirror": True, "shift": 0})
    result = experiments.run(recipe, tmp_path / "run", data=tiny)
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    images, labels = tiny.test
    mean = (model.predict(images, verbose=0) + model.predict(images[:, :, ::-1], verbose=0)) / 2
    views = result["test_time_augmentation"]["test"]
    assert views["accuracy"] == pytest.approx((mean.argmax(axis=1) == labels).mean())
    assert views["loss"] == pytest.approx(-np.log(mean[np.arange(len(labels)), labels]).mean(), rel=1e-4)
    assert set(result["test_time_augmentation"]) == {"val", "test"}
    with pytest.raises(InputError, match="`shift` must be below 8"):
        experiments.build(tiny_recipe(evaluation__test_time_augmentation={"shift": 8}), tiny)
    with pytest.raises(InputError, match="reads more"):
        experiments.load("multi_input", {"evaluation.test_time_augmentation": {}})
