"""What a search tells: its plan, its progress, its table."""

import pytest
from small_searches import write

from kerastrain import tuning
from kerastrain._core import yaml_document
from kerastrain.tuning.planning import plan
from kerastrain.tuning.records import TrialRecord
from kerastrain.tuning.table import plan_lines, short_names, shown, trial_line, trials_table


def test_progress_goes_to_stderr_only(tmp_path, capfd, quick):
    tuning.search(write(tmp_path), max_trials=1, out=tmp_path / "out")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Trial 1/1  val_loss " in captured.err
    assert "learning_rate=0.0" in captured.err
    assert "Trials by val_loss (min)" in captured.err


def test_short_names_are_the_shortest_that_tell_apart():
    paths = ["optimizer.learning_rate.initial", "optimizer.rule", "a.rate", "b.rate", "rate"]
    assert list(short_names(paths).values()) == ["initial", "rule", "a.rate", "b.rate", "rate"]


LAYERS = {
    "model.layers[0].units": {"type": "choice", "values": [8, 4]},
    "model.layers[1].units": {"type": "choice", "values": [2, 3], "when": {"model.layers[0].units": 8}},
}


def test_a_line_and_the_table_name_parameters_alike_and_count_epochs_from_one(tmp_path):
    made = plan(tuning.load_config(write(tmp_path, LAYERS)))
    # Alone in its trial, `units` would be either of the two.
    record = TrialRecord(3, {"model.layers[0].units": 4}, "completed", 0.5, 0, 1.0, [])
    assert trial_line(record, made) == "Trial 3/3  val_loss 0.5 at epoch 1  layers[0].units=4  1.0 s"
    table = trials_table([record], list(LAYERS), made.config.objective)
    assert [str(column.header) for column in table.columns[4:]] == ["layers[0].units", "layers[1].units"]
    assert list(table.columns[2].cells) == ["1"]
    assert record.summary()["epoch"] == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.123456, "0.12346"),
        ({"type": "l2", "rate": 1e-4}, "{type: l2, rate: 0.0001}"),
        ([20, None, [1.5]], "[20, null, [1.5]]"),
        ("null", '"null"'),
        ("2026-01-01", '"2026-01-01"'),
        ("my images", '"my images"'),
        ("data/my-images.npz", "data/my-images.npz"),
    ],
)
def test_values_are_shown_as_yaml(value, text):
    assert shown(value) == text
    # Five digits are enough to tell 0.123456 apart, and all that is shown of it.
    assert yaml_document.scalar(text) == (0.12346 if value == 0.123456 else value)


def test_the_first_combinations_of_a_grid_are_run_and_told(tmp_path, capfd, quick):
    space = {
        "optimizer.learning_rate": {"type": "float", "values": [0.3, 0.1, 0.2]},
        "model.dropout": {"type": "choice", "values": [None, 0.5]},
    }
    path = write(tmp_path, space, search={"strategy": "grid", "max_trials": 6})
    result = tuning.search(path, max_trials=3, out=tmp_path / "out")
    assert [tuple(trial.parameters.values()) for trial in result.trials] == [(0.3, None), (0.3, 0.5), (0.1, None)]
    error = capfd.readouterr().err
    assert error.count("Grid: the first 3 of 6 combinations.") == 1
    assert error.index("Grid: ") < error.index("Trial 1/3") < error.index("dropout=null")
    # What was recorded of it runs again, by the same argument.
    assert tuning.search(result.folder / "search.yaml", max_trials=3, out=result.folder) == result
    smoke = tuning.search(path, max_trials=1, smoke=True, out=tmp_path / "smoke")
    assert [tuple(trial.parameters.values()) for trial in smoke.trials] == [(0.3, None)]
    assert "Grid: the first 1 of 6 combinations." in capfd.readouterr().err
    tuning.search(path, out=tmp_path / "whole")
    assert "Grid: " not in capfd.readouterr().err


def test_searched_values_that_smoke_replaces_are_told_once(tmp_path, capfd, quick):
    space = {
        "data.train_limit": {"type": "choice", "values": [None, 5000]},
        "training.batch_size": {"type": "choice", "values": [128, 32]},
        "model.layers[0].units": {"type": "choice", "values": [8]},
        "model.dropout": {"type": "choice", "values": [{"type": "dropout", "rate": 0.5}]},
        "model.dropout.rate": {
            "type": "float",
            "values": [0.1],
            "when": {"model.dropout": [{"type": "dropout", "rate": 0.5}]},
        },
    }
    path = write(tmp_path, space, search={"strategy": "grid", "max_trials": 4})
    tuning.search(path, smoke=True, out=tmp_path / "out")
    error = capfd.readouterr().err
    # Smoke trains on 256 images, in batches of at most 64.
    line = (
        "--smoke replaces searched values: data.train_limit null -> 256; training.batch_size 128 -> 64. "
        "The table and the records keep the searched ones.\n"
    )
    assert error.count(line) == 1
    assert error.index(line) < error.index("Trial 1/2")
    assert plan_lines(plan(tuning.load_config(path))) == []
