"""Searches that go further than they were asked for at first."""

import json

import numpy as np
import pytest
from small_searches import RECIPE, write

from kerastrain import tuning
from kerastrain._core.errors import RefusedError

RATES = {"optimizer.learning_rate": {"type": "float", "values": [0.5, 0.4, 0.3, 0.2, 0.1]}}
CONTINUOUS = {"optimizer.learning_rate": {"type": "float", "min": 0.001, "max": 0.1, "scale": "log"}}


def drawn(result):
    return [trial.parameters for trial in result.trials]


@pytest.mark.parametrize(("strategy", "space"), [("grid", RATES), ("random", RATES), ("random", CONTINUOUS)])
def test_a_finished_search_goes_on_with_the_further_trials(strategy, space, tmp_path, told):
    path = write(tmp_path, space, search={"strategy": strategy, "max_trials": 5, "seed": 7})
    whole = tuning.search(path, out=tmp_path / "whole")
    assert tuning.search(path, max_trials=2, out=tmp_path / "out").ended_by == "max_trials"
    told.begun.clear()
    result = tuning.search(path, max_trials=4, out=tmp_path / "out")
    assert len(told.begun) == 2 and drawn(result) == drawn(whole)[:4]
    # The folder's own file asks for as many, and an interrupted search goes on by the old number or a new one.
    assert tuning.search(tmp_path / "out" / "search.yaml", max_trials=4, out=tmp_path / "out") == result
    result = tuning.search(path, out=tmp_path / "out")
    assert drawn(result) == drawn(whole) and result.best.parameters == whole.best.parameters
    assert result.best_model_path.read_text() == whole.best_model_path.read_text()
    # Asked for fewer, it is finished all the same, and what there is comes back.
    assert tuning.search(path, max_trials=4, out=tmp_path / "out") == result


def test_without_out_it_comes_back_to_its_folder(tmp_path, told, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, RATES, search={"strategy": "grid", "max_trials": 5})
    first = tuning.search(path, max_trials=1)
    assert tuning.search(path, max_trials=2).folder == first.folder and len(told.begun) == 2


def test_budgets_can_be_raised(tmp_path, told, monkeypatch):
    search = {"strategy": "grid", "max_trials": 5}
    told.curve = lambda recipe: [0.5, 0.4]
    first = tuning.search(write(tmp_path, RATES, search=search, budget={"total_epochs": 3}), out=tmp_path / "out")
    assert (first.status, first.ended_by, len(first.trials)) == ("finished", "total_epochs", 2)
    again = write(tmp_path, RATES, search=search, budget={"total_epochs": 3, "wall_clock": "1h"})
    assert len(tuning.search(again, out=tmp_path / "out").trials) == 2
    more = tuning.search(write(tmp_path, RATES, search=search, budget={"total_epochs": 7}), out=tmp_path / "out")
    assert (more.ended_by, len(more.trials)) == ("total_epochs", 4)
    now = [0.0]

    def tick(record):
        now[0] += 40.0

    with monkeypatch.context() as patch:
        patch.setattr("kerastrain.tuning.tuner.time.monotonic", lambda: now[0])
        path = write(tmp_path, RATES, search=search, budget={"wall_clock": "1m"})
        timed = tuning.search(path, out=tmp_path / "timed", on_trial=tick)
        assert (timed.ended_by, len(timed.trials)) == ("wall_clock", 2)
        assert len(tuning.search(path, out=tmp_path / "timed", on_trial=tick).trials) == 2
        path = write(tmp_path, RATES, search=search, budget={"wall_clock": "2m"})
        timed = tuning.search(path, out=tmp_path / "timed", on_trial=tick)
        assert (timed.ended_by, len(timed.trials)) == ("wall_clock", 3)
    assert tuning.search(write(tmp_path, RATES, search=search), out=tmp_path / "timed").ended_by == "max_trials"


def test_other_data_of_the_same_name_is_refused(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", x=images, y=np.arange(60) % 3)
    recipe = RECIPE.replace("synthetic, validation: 200, train_limit: 128", f"{tmp_path}/mine.npz, validation: 12")
    path = write(tmp_path, RATES, search={"strategy": "grid", "max_trials": 5})
    (tmp_path / "tiny.yaml").write_text(recipe)
    tuning.search(path, max_trials=1, out=tmp_path / "out")
    images[0] += 1
    np.savez(tmp_path / "mine.npz", x=images, y=np.arange(60) % 3)
    before = json.loads((tmp_path / "out" / "search.json").read_text())["data"]
    with pytest.raises(
        RefusedError, match=rf"trained on other data of the same name. It differs in data: {before} -> "
    ):
        tuning.search(path, max_trials=2, out=tmp_path / "out")
