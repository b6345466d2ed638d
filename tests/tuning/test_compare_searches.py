"""Searches beside each other."""

import json

import matplotlib.image
import pytest
from recorded_searches import SPACE, drawn_records, record, write_search

from kerastrain import experiments, tuning
from kerastrain._core.errors import InputError
from kerastrain.tuning.comparison import comparison_table


def test_rows_say_what_each_search_found(tmp_path):
    records = drawn_records(20)
    one = write_search(tmp_path / "one", SPACE, records, name="one", test={"loss": 1.5, "accuracy": 0.5})
    two = write_search(tmp_path / "two", SPACE, records[:5], name="two", status="interrupted", seconds=7000.0)
    result = tuning.compare([one, two], tmp_path / "figure.png")
    first, second = result["searches"]
    done = [trial for trial in records if trial.status == "completed"]
    assert first["best"] == min(trial.value for trial in done)
    assert first["trial"] == min(done, key=lambda trial: trial.value).number
    assert (first["trials"], first["ended_early"], first["seconds"]) == (20, 20 - len(done), 40.0)
    assert first["test"] == {"loss": 1.5, "accuracy": 0.5}
    assert (second["status"], second["test"], second["trials"]) == ("interrupted", None, 5)
    assert result["warnings"] == []
    assert matplotlib.image.imread(result["figure"]).ndim == 3
    json.dumps(result, allow_nan=False)
    cells = [list(column.cells) for column in comparison_table(result).columns]
    assert [str(cell) for cell in cells[0]] == ["one", "two (interrupted)"]
    assert str(cells[-1][0]) == "loss 1.5000  accuracy 0.5000"
    assert str(cells[-2][1]) == "1.9 h"


def test_what_is_not_alike_is_told(tmp_path):
    accuracy = {"metric": "val_accuracy", "mode": "max"}
    chosen = drawn_records(1)[0].parameters
    recipe = experiments.load("mlp_sequential", {"data.name": "cifar10", "data.validation": 500})
    one = write_search(tmp_path / "one", SPACE, [record(1, chosen, [1.0])])
    better = record(1, chosen, [0.5], metric="val_accuracy", mode="max")
    two = write_search(tmp_path / "two", SPACE, [better], objective=accuracy, recipe=recipe)
    space = {**SPACE, "data.train_limit": {"type": "choice", "values": [512, 1024]}}
    lost = record(1, chosen, [float("nan")], status="diverged")
    three = write_search(tmp_path / "three", space, [lost], name="three")
    result = tuning.compare([one, two, three], tmp_path / "figure.png")
    objectives, name, validation, limit = result["warnings"]
    assert objectives == (
        f"the objectives differ: {one} val_loss (min), {two} val_accuracy (max), three val_loss (min)"
    )
    assert name == f"`data.name` differs: {one} synthetic, {two} cifar10, three synthetic"
    assert validation.startswith("`data.validation` differs: ")
    assert limit == f"`data.train_limit` differs: {one} 512, {two} 512, three searched"
    # What has no value has no line, and no place in the table's column of values.
    assert result["searches"][2]["best"] is None
    assert tuning.compare([three], tmp_path / "none.png")["figure"] is None


def test_other_images_under_the_same_name_are_told(tmp_path):
    one = write_search(tmp_path / "one", SPACE, drawn_records(3), name="one", data="aa11")
    two = write_search(tmp_path / "two", SPACE, drawn_records(3), name="two", data="bb22")
    old = write_search(tmp_path / "old", SPACE, drawn_records(3), name="old")
    figure = tmp_path / "figure.png"
    told = ["the images or labels differ (fingerprints): one aa11, two bb22"]
    assert tuning.compare([one, two], figure)["warnings"] == told
    assert tuning.compare([one, old], figure)["warnings"] == []


def test_bad_arguments(tmp_path):
    folder = write_search(tmp_path / "one", SPACE, drawn_records(3))
    with pytest.raises(InputError, match="one folder of a search at least"):
        tuning.compare([])
    with pytest.raises(InputError, match=r"Received: .* twice"):
        tuning.compare([folder, folder])
    with pytest.raises(InputError, match="cannot be written as a picture"):
        tuning.compare([folder], tmp_path / "figure.docx")
