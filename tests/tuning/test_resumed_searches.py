"""A search that is cut off goes on by the same call: no trial is lost, and none is run twice."""

import csv
import json

import pytest
from small_searches import RATE, write
from training_probes import PowerCut

from kerastrain import experiments, tuning
from kerastrain._core import yaml_document
from kerastrain._core.errors import RefusedError
from kerastrain.callbacks import StatefulCallback

SPACE = {**RATE, "model.activation": {"type": "choice", "values": ["relu", "tanh"]}}
GRID = {
    "optimizer.learning_rate": {"type": "float", "values": [0.01, 0.1]},
    "model.activation": {"type": "choice", "values": ["relu", "tanh"]},
}
STRATEGIES = [
    (SPACE, {"strategy": "random", "max_trials": 4, "seed": 3}),
    (GRID, {"strategy": "grid", "max_trials": 4}),
]


@pytest.fixture
def power(monkeypatch):
    """A function that cuts the power in trial `trial` of this process, behind `steps` of it; counts trials begun."""
    fit, begun = experiments.fit, []

    def cut(trial=0, steps=0, checkpoint=None):
        def cut_off(recipe, model, data, callbacks, **options):
            begun.append(recipe.hash())
            extra = [PowerCut(steps, KeyboardInterrupt)] if len(begun) == trial else []
            if checkpoint is not None:
                options["checkpoint"] = checkpoint
            return fit(recipe, model, data, callbacks=[*callbacks, *extra], **options)

        begun.clear()
        monkeypatch.setattr(experiments, "fit", cut_off)
        return begun

    return cut


def content(result):
    """All that a search gives, less its times."""
    return [
        (
            trial.number,
            trial.parameters,
            trial.status,
            trial.value,
            trial.epoch,
            [{name: value for name, value in row.items() if name != "seconds"} for row in trial.history],
        )
        for trial in result.trials
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("space", "search"), STRATEGIES, ids=["random", "grid"])
def test_it_ends_as_the_one_that_nothing_happened_to(space, search, tmp_path, power):
    path = write(tmp_path, space, search=search)
    whole = tuning.search(path, out=tmp_path / "whole")
    power(trial=3, steps=1)
    first = tuning.search(path, out=tmp_path / "cut")
    assert (first.status, len(first.trials)) == ("interrupted", 2)
    seen, begun = [], power()
    result = tuning.search(path, out=tmp_path / "cut", on_trial=seen.append)
    assert len(begun) == 2 and [trial.number for trial in seen] == [3, 4]
    assert content(result) == content(whole)
    for name in ("trials.csv", "best_recipe.yaml"):
        assert (tmp_path / "cut" / name).exists()
    with (tmp_path / "cut" / "trials.csv").open(newline="") as stream:
        assert [row["number"] for row in csv.DictReader(stream)] == ["1", "2", "3", "4"]
    history = [json.loads(line)["trial"] for line in (tmp_path / "cut" / "history.jsonl").read_text().splitlines()]
    assert history == [1, 1, 2, 2, 3, 3, 4, 4]
    assert not (tmp_path / "cut" / "running_trial").exists()


@pytest.mark.slow
def test_a_trial_goes_on_from_its_last_checkpoint(tmp_path, power):
    path = write(tmp_path, GRID, search={"strategy": "grid", "max_trials": 4})
    whole = tuning.search(path, out=tmp_path / "whole")
    often = {"every_epochs": None, "every_steps": 1}
    power(trial=2, steps=2, checkpoint=often)  # behind the first epoch's last step
    tuning.search(path, out=tmp_path / "cut")
    steps = []
    power(checkpoint=often)
    fit = experiments.fit

    class Counted(StatefulCallback):
        def on_train_batch_end(self, batch, logs=None):
            steps[-1] += 1

    def counted(recipe, model, data, callbacks, **options):
        steps.append(0)
        return fit(recipe, model, data, [*callbacks, Counted()], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "fit", counted)
        result = tuning.search(path, out=tmp_path / "cut")
    assert content(result) == content(whole)
    assert steps[0] < steps[1] == steps[2]  # of the second trial only the rest is trained


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["search.json", "history.jsonl"])
def test_files_of_a_moment_before_are_enough(kept, tmp_path, power):
    """A kill between two writes leaves one file newer than the other."""
    path = write(tmp_path, SPACE, search=STRATEGIES[0][1])
    whole = tuning.search(path, out=tmp_path / "whole")
    folder, older = tmp_path / "cut", {}

    def remember(record):
        if record.number == 1:
            older["search.json"] = (folder / "search.json").read_text()

    power(trial=3, steps=1)
    tuning.search(path, out=folder, on_trial=remember)
    if kept == "history.jsonl":
        (folder / "search.json").write_text(older["search.json"])  # the history knows of two trials, this of one
    power()
    assert content(tuning.search(path, out=folder)) == content(whole)


def stop(record):
    raise KeyboardInterrupt


def test_another_search_and_foreign_records_are_refused(tmp_path, quick):
    path = write(tmp_path, SPACE, search=STRATEGIES[0][1])
    tuning.search(path, out=tmp_path / "out", on_trial=stop)
    with pytest.raises(RefusedError, match=r"search\.seed: 3 -> 4"):
        tuning.search(write(tmp_path, SPACE, search={**STRATEGIES[0][1], "seed": 4}), out=tmp_path / "out")
    write(tmp_path, SPACE, search=STRATEGIES[0][1])
    summary = json.loads((tmp_path / "out" / "search.json").read_text())
    summary["trials"][0]["parameters"]["model.activation"] = "gelu"
    (tmp_path / "out" / "search.json").write_text(json.dumps(summary))
    with pytest.raises(RefusedError, match="trial 1 in its records is not that of this search"):
        tuning.search(path, out=tmp_path / "out")


def test_the_wall_clock_goes_on_too(tmp_path, quick):
    path = write(tmp_path, SPACE, search=STRATEGIES[0][1], budget={"wall_clock": 1000})
    tuning.search(path, out=tmp_path / "out", on_trial=stop)
    summary = json.loads((tmp_path / "out" / "search.json").read_text())
    summary["seconds"] = 1000.0
    (tmp_path / "out" / "search.json").write_text(json.dumps(summary))
    result = tuning.search(path, out=tmp_path / "out")
    assert (result.ended_by, len(result.trials)) == ("wall_clock", 1)


@pytest.mark.slow
def test_the_file_of_the_search_is_that_of_its_beginning(tmp_path, power):
    path = write(tmp_path, SPACE, search=STRATEGIES[0][1])
    power(trial=2, steps=1)
    tuning.search(path, out=tmp_path / "out")
    before = (tmp_path / "out" / "search.yaml").read_text()
    power()
    tuning.search(path, out=tmp_path / "out")
    assert (tmp_path / "out" / "search.yaml").read_text() == before
    assert yaml_document.read(tmp_path / "out" / "search.yaml").data["name"] == "tiny_search"


@pytest.mark.slow
def test_a_trial_of_a_re_used_model_goes_on_from_its_checkpoint_in_another_process(tmp_path, power, capsys):
    """The config of the model that is trained there is that of an earlier trial, and the checkpoint's is this one's."""
    path = write(
        tmp_path,
        {
            "optimizer.learning_rate": {"type": "float", "values": [0.01, 0.1]},
            "model.dropout.rate": {"type": "float", "values": [0.1, 0.3]},
        },
        search={"strategy": "grid", "max_trials": 4},
    )
    recipe = path.parent / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace("layers: [4]", "layers: [4], dropout: 0.2"))
    whole = tuning.search(path, out=tmp_path / "whole")
    often = {"every_epochs": None, "every_steps": 1}
    power(trial=3, steps=2, checkpoint=often)  # both steps of an epoch are one execution: in the second epoch
    first = tuning.search(path, out=tmp_path / "cut")
    assert len(first.trials) == 2
    power(checkpoint=often)
    capsys.readouterr()
    result = tuning.search(path, out=tmp_path / "cut")
    assert capsys.readouterr().err.count("training goes on in epoch 2 of") == 1
    assert content(result) == content(whole)
