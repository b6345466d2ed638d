"""Searches that train, on a little synthetic data: records, files, the best recipe, folder rules."""

import csv
import dataclasses
import json
import math
import shutil

import keras
import pytest
from small_searches import RATE, write

from kerastrain import experiments, tuning
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError, RefusedError
from kerastrain.experiments.run_folder import RunFolder

SPACE = {
    **RATE,
    "optimizer.rule": {"type": "choice", "values": ["sgd", "adam"]},
    "optimizer.rule.momentum": {"type": "float", "min": 0, "max": 0.9, "when": {"optimizer.rule": "sgd"}},
    "model.dropout": {"type": "choice", "values": [None, 0.3]},
    "data.augment.flip": {"type": "choice", "values": ["none", "random"]},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished search of three trials, and its file."""
    folder = tmp_path_factory.mktemp("finished")
    path = write(folder, SPACE)
    seen = []
    result = tuning.search(path, out=folder / "out", on_trial=seen.append)
    assert seen == result.trials
    return path, result


@pytest.fixture(scope="module")
def best_data(finished):
    """The data of the best recipe."""
    return experiments.prepare(experiments.load(finished[1].best_recipe_path))


def test_the_result(finished):
    _, result = finished
    assert (result.status, result.ended_by, result.stopped) == ("finished", "max_trials", None)
    assert [trial.number for trial in result.trials] == [1, 2, 3]
    assert all(trial.status == "completed" and len(trial.history) == 2 for trial in result.trials)
    for trial in result.trials:
        losses = [row["val_loss"] for row in trial.history]
        assert trial.value == min(losses)
        assert losses[trial.epoch] == trial.value
    assert result.best.value == min(trial.value for trial in result.trials)


def test_the_files(finished):
    _, result = finished
    rows = list(csv.DictReader((result.folder / "trials.csv").open()))
    assert list(rows[0]) == ["number", "status", "value", "spread", "epoch", "seconds", *SPACE]
    for row, trial in zip(rows, result.trials, strict=True):
        assert float(row["value"]) == trial.value
        assert float(row["optimizer.learning_rate"]) == trial.parameters["optimizer.learning_rate"]
        assert (row["optimizer.rule.momentum"] == "") == (trial.parameters["optimizer.rule"] == "adam")
    lines = [json.loads(line) for line in (result.folder / "history.jsonl").read_text().splitlines()]
    assert [(line["trial"], line["epoch"]) for line in lines] == [(t, e) for t in (1, 2, 3) for e in (0, 1)]
    assert [line["val_loss"] for line in lines] == [row["val_loss"] for t in result.trials for row in t.history]
    summary = json.loads((result.folder / "search.json").read_text())
    assert summary["status"] == "finished"
    assert summary["best"]["value"] == result.best.value
    assert {entry.name for entry in result.folder.iterdir()} == {
        "best_model.keras",
        "best_recipe.yaml",
        "history.jsonl",
        "keras_tuner",
        "logs",
        "report.html",
        "search.json",
        "search.yaml",
        "trials.csv",
    }
    # No weights of any epoch but the best.
    kept = [path.name for path in result.folder.rglob("*") if path.suffix in {".h5", ".keras", ".index"}]
    assert kept == ["best_model.keras"]


def test_the_best_recipe_trains_to_the_same_value_bit_for_bit(finished, best_data):
    _, result = finished
    recipe = experiments.load(result.best_recipe_path)
    assert recipe.optimizer.learning_rate == result.best.parameters["optimizer.learning_rate"]
    keras.utils.clear_session()
    history = experiments.fit(recipe, experiments.build(recipe, best_data), best_data).history
    assert min(row["val_loss"] for row in history) == result.best.value
    for mine, theirs in zip(history, result.best.history, strict=True):
        assert {k: v for k, v in mine.items() if k != "seconds"} == {k: v for k, v in theirs.items() if k != "seconds"}


def test_the_best_model_is_that_of_the_best_epoch_and_is_tested_once(finished, best_data):
    _, result = finished
    model = keras.saving.load_model(result.best_model_path)
    assert experiments.evaluate(model, best_data, ("val",))["val"]["loss"] == pytest.approx(result.best.value, rel=1e-6)
    assert result.test == pytest.approx(model.evaluate(*best_data.test, verbose=0, return_dict=True), rel=1e-5)
    assert json.loads((result.folder / "search.json").read_text())["test"] == result.test


def test_a_finished_search_is_returned_without_training(finished, monkeypatch):
    path, result = finished
    monkeypatch.setattr(experiments, "build", None)
    assert tuning.search(path, out=result.folder) == result


def test_another_search_is_refused_by_the_names_of_the_fields(finished, tmp_path):
    path, result = finished
    config = tuning.load_config(path)
    cut = shutil.copytree(result.folder, tmp_path / "cut")
    summary = (cut / "search.json").read_text()
    (cut / "search.json").write_text(summary.replace('"status": "finished"', '"status": "interrupted"'))
    with pytest.raises(RefusedError, match=r"has 3 trials of this search already. Received: 2 trials."):
        tuning.search(config, max_trials=2, out=cut)
    changed = path.with_name("changed.yaml")
    changed.write_text(path.read_text().replace("max: 0.1", "max: 0.2"))
    with pytest.raises(RefusedError, match=r"space.optimizer.learning_rate.max: 0.1 -> 0.2"):
        tuning.search(changed, out=result.folder)


def test_the_recorded_file_searches_the_same_from_anywhere(finished, tmp_path, monkeypatch):
    _, result = finished
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiments, "build", None)
    assert tuning.search(result.folder / "search.yaml", out=result.folder) == result


def test_every_metric_that_an_objective_may_name_is_one_that_fit_yields(finished):
    _, result = finished
    yields = {name for name in result.trials[0].history[0] if name.startswith("val_")}
    assert yields == {f"val_{name}" for name in experiments.METRICS["multiclass"]}


@pytest.mark.slow
def test_smoke_is_two_tiny_trials_of_the_shipped_searches(tmp_path):
    result = tuning.search("tuner_configs/random_mlp.yaml", smoke=True, out=tmp_path / "out")
    assert len(result.trials) == 2
    assert experiments.load(result.best_recipe_path).data.name == "synthetic"


def test_data_is_loaded_once_and_again_only_for_other_data(tmp_path, monkeypatch, quick):
    loads = []
    monkeypatch.setattr(experiments, "prepare", lambda recipe, *loaded: loads.append(recipe.data.train_limit))
    tuning.search(write(tmp_path, SPACE), out=tmp_path / "one")
    assert loads == [128]
    space = {"data.train_limit": {"type": "choice", "values": [64, 96]}, "model.dropout": SPACE["model.dropout"]}
    search = {"strategy": "grid", "max_trials": 4}
    tuning.search(write(tmp_path, space, search=search), out=tmp_path / "two")
    assert loads == [128, 128, 64, 96]


def test_the_smallest_is_the_best_and_the_first_of_equals(tmp_path, quick):
    space = {
        "optimizer.learning_rate": {"type": "float", "values": [0.3, 0.1, 0.2]},
        "model.dropout": {"type": "choice", "values": [None, 0.5]},
    }
    path = write(tmp_path, space, search={"strategy": "grid", "max_trials": 9})
    result = tuning.search(path, out=tmp_path / "out")
    assert [trial.value for trial in result.trials] == [0.3, 0.3, 0.1, 0.1, 0.2, 0.2]
    assert (result.best.number, result.ended_by) == (3, "exhausted")
    assert experiments.load(result.best_recipe_path).optimizer.learning_rate == 0.1


def test_a_diverged_trial_is_a_result_and_the_search_goes_on(tmp_path):
    space = {"optimizer.learning_rate": {"type": "float", "values": [1e30, 0.01]}}
    search = {"strategy": "grid", "max_trials": 5}
    result = tuning.search(write(tmp_path, space, search=search), out=tmp_path / "out")
    assert [trial.status for trial in result.trials] == ["diverged", "completed"]
    assert result.ended_by == "exhausted"
    assert result.trials[0].value is None
    assert result.trials[0].message.startswith("diverged")
    assert result.best.number == 2
    row = next(csv.DictReader((tmp_path / "out" / "trials.csv").open()))
    assert (row["status"], row["value"]) == ("diverged", "")
    # What it was told of the diverged trial is the worst there is, so that no engine prefers it.
    engine = json.loads((tmp_path / "out" / "keras_tuner" / "trial_0" / "trial.json").read_text())
    assert (engine["status"], engine["score"]) == ("COMPLETED", math.inf)


def test_overwrite_starts_again_and_removes_only_its_own(tmp_path, quick):
    out = tmp_path / "out"
    tuning.search(write(tmp_path), max_trials=2, out=out)
    (out / "notes.txt").write_text("mine")
    result = tuning.search(write(tmp_path), max_trials=1, out=out, overwrite=True)
    assert len(result.trials) == 1
    assert (out / "notes.txt").read_text() == "mine"
    assert len(list(out.glob("keras_tuner/trial_*"))) == 1


def test_a_folder_of_something_else_or_in_use_or_damaged_is_refused(tmp_path, quick):
    path, out = write(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(RefusedError, match=r"is not empty and has no search.yaml \(it holds `thesis.txt`\)"):
            tuning.search(path, out=out, overwrite=overwrite)
    other = tmp_path / "other"
    with RunFolder(other).locked(), pytest.raises(RefusedError, match="in use by another process"):
        tuning.search(path, out=other)
    tuning.search(path, max_trials=1, out=other)
    (other / "search.json").write_text('{"status": "fin')
    with pytest.raises(RefusedError, match=r"search.json: cannot be read"):
        tuning.search(path, max_trials=1, out=other)


def test_the_default_folder_has_name_and_hash(tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    result = tuning.search(write(tmp_path), max_trials=1)
    assert result.folder.parent.name == "searches"
    assert len(result.folder.name.removeprefix("tiny_search-")) == 8
    # As if it were another data set: another folder.
    assert tuning.search(write(tmp_path), max_trials=1, smoke=True).folder != result.folder


def test_bad_data_is_told_before_the_folder_is_made(tmp_path):
    with pytest.raises(InputError, match=r"`data.name`"):
        tuning.search(write(tmp_path), data="no_such_data", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_data_leaves_a_folder_that_can_be_used(tmp_path):
    images = tmp_path / "images.npz"
    images.write_bytes(b"not an archive")
    with pytest.raises(InputError, match=r"images.npz"):
        tuning.search(write(tmp_path), data=str(images), out=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_records_are_plain_data(finished):
    _, result = finished
    text = json.dumps([trial.summary() for trial in result.trials] + [result.summary()])
    assert yaml_document.parse(text, "records").data[-1]["trials"] == 3
    assert dataclasses.is_dataclass(result)
