"""Points that are trained several times: mean and spread, paired seeds, resume within a point, the best model."""

import csv
import json

import numpy as np
import pytest
from small_searches import write

from kerastrain import experiments, tuning
from kerastrain._core.errors import InputError, WorkFailedError
from kerastrain.tuning.planning import plan

SPACE = {"optimizer.learning_rate": {"type": "float", "values": [0.1, 0.2]}}
SECTIONS = {"search": {"strategy": "grid", "max_trials": 2}, "repeats": 3}
# By learning rate and seed; the recipe's seed is 3.
VALUES = {(0.1, 3): 0.5, (0.1, 4): 0.9, (0.1, 5): 0.7, (0.2, 3): 0.6, (0.2, 4): 0.4, (0.2, 5): 0.5}


def of_table(recipe):
    return [2.0, VALUES[recipe.optimizer.learning_rate, recipe.training.seed]]


def seeds(told):
    return [(recipe.optimizer.learning_rate, recipe.training.seed) for recipe in told.begun]


def test_mean_and_spread_of_paired_seeds(tmp_path, told):
    told.curve = of_table
    result = tuning.search(write(tmp_path, SPACE, **SECTIONS), out=tmp_path / "out")
    assert seeds(told) == list(VALUES)
    for trial, values in zip(result.trials, ([0.5, 0.9, 0.7], [0.6, 0.4, 0.5]), strict=True):
        assert trial.value == pytest.approx(np.mean(values), abs=1e-15)
        assert trial.spread == pytest.approx(np.std(values, ddof=1), abs=1e-15)
        assert [one["value"] for one in trial.repeats] == values
        assert [one["seed"] for one in trial.repeats] == [3, 4, 5]
        assert [(row["repeat"], row["epoch"]) for row in trial.history] == [(r, e) for r in (1, 2, 3) for e in (0, 1)]
    assert (result.best.number, result.best.best_repeat, result.best.epoch) == (2, 2, 1)
    row = list(csv.DictReader((result.folder / "trials.csv").open()))[1]
    assert float(row["spread"]) == pytest.approx(0.1, abs=1e-15)
    # Recipe and model are those of the best repeat.
    recipe = experiments.load(result.best_recipe_path)
    assert (recipe.optimizer.learning_rate, recipe.training.seed) == (0.2, 4)
    assert result.best_model_path.read_text() == recipe.to_yaml()
    assert result.test == {"loss": 0.5} == json.loads((result.folder / "search.json").read_text())["test"]
    assert not (result.folder / "running_trial").exists() or not list((result.folder / "running_trial").iterdir())


@pytest.mark.parametrize("cut", [2, 3, 5])
def test_a_point_that_is_cut_off_goes_on_behind_its_finished_repeats(cut, tmp_path, told):
    told.curve = of_table
    path = write(tmp_path, SPACE, **SECTIONS)
    whole = tuning.search(path, out=tmp_path / "whole")
    told.begun.clear()

    def power_cut(recipe):
        if len(told.begun) == cut:
            raise KeyboardInterrupt
        return of_table(recipe)

    told.curve = power_cut
    assert tuning.search(path, out=tmp_path / "cut").status == "interrupted"
    told.curve = of_table
    result = tuning.search(path, out=tmp_path / "cut")
    assert len(told.begun) == len(VALUES) + 1  # one of them twice
    without_times = [
        [
            (one.value, one.spread, one.best_repeat, one.history, [{**part, "seconds": 0} for part in one.repeats])
            for one in search.trials
        ]
        for search in (whole, result)
    ]
    assert without_times[0] == without_times[1]
    assert result.best_model_path.read_text() == whole.best_model_path.read_text()


def test_a_point_one_seed_of_which_diverges_has_no_value(tmp_path, told):
    told.curve = lambda recipe: [float("nan")] if recipe.training.seed == 4 else [0.5]
    with pytest.raises(WorkFailedError, match="none has a finite val_loss"):
        tuning.search(write(tmp_path, SPACE, **SECTIONS), out=tmp_path / "out")
    assert seeds(told) == [(0.1, 3), (0.1, 4), (0.2, 3), (0.2, 4)]
    summary = json.loads((tmp_path / "out" / "search.json").read_text())["trials"][0]
    assert (summary["status"], summary["value"], summary["spread"]) == ("diverged", None, None)
    assert summary["message"].startswith("repeat 2 of 3 diverged: no epoch")


def test_first_repeats_are_pruned_by_first_repeats(tmp_path, told):
    space = {"optimizer.learning_rate": {"type": "float", "values": [0.1, 0.2, 0.3]}}
    # The second repeats of the first points are as bad as the third point; compared with them it would go on.
    told.curve = lambda recipe: [9.0 if recipe.training.seed == 4 or recipe.optimizer.learning_rate == 0.3 else 1.0] * 2
    path = write(
        tmp_path,
        space,
        search={"strategy": "grid", "max_trials": 3},
        repeats=2,
        pruner={"type": "median", "startup_trials": 2},
    )
    result = tuning.search(path, out=tmp_path / "out")
    assert [(one.status, len(one.repeats)) for one in result.trials] == [
        ("completed", 2),
        ("completed", 2),
        ("pruned", 1),
    ]
    assert result.trials[2].value == 9.0 and result.trials[2].message.startswith("repeat 1 of 2 pruned: val_loss 9 is")


def test_only_trials_that_become_the_best_are_saved(tmp_path, told):
    told.curve = lambda recipe: [recipe.optimizer.learning_rate]
    space = {"optimizer.learning_rate": {"type": "float", "values": [0.3, 0.4, 0.1, 0.2, 0.05]}}
    path = write(tmp_path, space, search={"strategy": "grid", "max_trials": 5})
    result = tuning.search(path, out=tmp_path / "out")
    assert [recipe.optimizer.learning_rate for recipe in told.saved] == [0.3, 0.1, 0.05]
    assert experiments.load(result.best_model_path.rename(tmp_path / "best.yaml")).optimizer.learning_rate == 0.05


def test_a_kill_between_record_and_model_loses_no_model(tmp_path, told, monkeypatch):
    path = write(tmp_path, SPACE, search=SECTIONS["search"])

    def killed(self, recorded):
        if recorded:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kerastrain.tuning.tuner.SearchTuner._tidy_up", killed)
        tuning.search(path, out=tmp_path / "out")
    assert not (tmp_path / "out" / "best_model.keras").exists()
    result = tuning.search(path, out=tmp_path / "out")
    assert len(told.begun) == 2
    assert "learning_rate: 0.1" in result.best_model_path.read_text()


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_full_disk_is_not_a_trials_failure(repeats, tmp_path, told, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    path = write(tmp_path, SPACE, search=SECTIONS["search"], repeats=repeats)
    with monkeypatch.context() as patch:
        patch.setattr(told.Model, "save", full)
        with pytest.raises(OSError, match="No space left"):
            tuning.search(path, out=tmp_path / "out")
    assert tuning.search(path, out=tmp_path / "out").status == "finished"


def test_repeats_are_refused_beside_a_searched_seed(tmp_path):
    space = {"training.seed": {"type": "choice", "values": [0, 1]}}
    with pytest.raises(InputError, match="`repeats` sets it"):
        plan(tuning.load_config(write(tmp_path, space, **SECTIONS)))
