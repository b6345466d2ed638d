"""Searches whose trials a pruner ends early, and that go on within one."""

import csv
import json

import pytest
from small_searches import write

from kerastrain import experiments, tuning
from kerastrain.callbacks import StatefulCallback
from kerastrain.tuning.records import TrialRecord, best

SPACE = {"optimizer.learning_rate": {"type": "float", "values": [0.1, 0.05, 1e-5, 2e-5]}}
SECTIONS = {
    "search": {"strategy": "grid", "max_trials": 4},
    "budget": {"epochs": 4},
    "pruner": {"type": "median", "startup_trials": 2, "warmup_epochs": 1},
}


def content(result):
    return [
        (one.status, one.value, one.message, [{**row, "seconds": 0} for row in one.history]) for one in result.trials
    ]


class PowerCut(StatefulCallback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("strategy", ["grid", "random"])
def test_a_pruned_trial_keeps_its_history_and_does_not_win(strategy, tmp_path, told):
    # By hand: at epoch 2 the completed trials have 0.8 and 0.6, later no more complete.
    curves = iter(
        [[1.0, 0.8, 0.7, 0.65], [1.0, 0.6, 0.5, 0.4], [0.9, 0.71, 0.1, 0.1], [0.9, 0.7, 0.6, 0.39], [2.0, 2.0]]
    )
    told.curve = lambda recipe: next(curves)
    search = {"strategy": strategy, "max_trials": 5, "seed": 1}
    space = {"optimizer.learning_rate": {"type": "float", "values": [0.1, 0.2, 0.3, 0.4, 0.5]}}
    result = tuning.search(write(tmp_path, space, **{**SECTIONS, "search": search}), out=tmp_path / "out")
    statuses = ["completed", "completed", "pruned", "completed", "pruned"]
    assert [(one.status, len(one.history)) for one in result.trials] == list(
        zip(statuses, [4, 4, 2, 4, 2], strict=True)
    )
    one = result.trials[2]
    assert (one.value, one.epoch) == (0.71, 1)
    assert one.message == "pruned: val_loss 0.71 is worse than the median of 2 trials at epoch 2, which is 0.7"
    assert result.best.number == 4 and result.ended_by == "max_trials"
    rows = list(csv.DictReader((result.folder / "trials.csv").open()))
    assert [row["status"] for row in rows] == statuses
    history = [json.loads(line)["trial"] for line in (result.folder / "history.jsonl").read_text().splitlines()]
    assert history == [1] * 4 + [2] * 4 + [3] * 2 + [4] * 4 + [5] * 2
    engine = json.loads((result.folder / "keras_tuner" / "trial_2" / "trial.json").read_text())
    assert (engine["status"], engine["score"]) == ("COMPLETED", 0.71)


@pytest.mark.slow
def test_cut_off_where_the_pruner_ends_a_trial_it_goes_on_to_the_same(tmp_path, monkeypatch):
    """The epoch is saved after the pruner's word on it, and no further one is trained on resume."""
    fit, begun = experiments.fit, []
    path = write(tmp_path, SPACE, **SECTIONS)
    whole = tuning.search(path, out=tmp_path / "whole")
    assert [one.status for one in whole.trials] == ["completed", "completed", "pruned", "pruned"]

    def cut(recipe, model, data, *, callbacks, checkpoint, **options):
        begun.append(recipe)
        extra = [PowerCut()] if len(begun) == 3 else []
        return fit(recipe, model, data, callbacks=[*callbacks, *extra], checkpoint={"every_epochs": 1}, **options)

    monkeypatch.setattr(experiments, "fit", cut)
    assert tuning.search(path, out=tmp_path / "out").status == "interrupted"
    assert content(tuning.search(path, out=tmp_path / "out")) == content(whole)
    assert len(begun) == 5


def test_where_none_was_completed_the_best_of_the_pruned_is_taken():
    objective = tuning.Objective(metric="val_accuracy", mode="max")

    def record(number, status, value):
        return TrialRecord(number, {}, status, value, 0, 1.0, [])

    some = [record(1, "failed", None), record(2, "pruned", 0.4), record(3, "pruned", 0.6)]
    assert best(some, objective).number == 3
    assert best([*some, record(4, "completed", 0.1)], objective).number == 4
