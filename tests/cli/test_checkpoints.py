import json
import sys

import keras
import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core import checkpoint_files
from kerastrain.cli.main import main


@pytest.fixture
def command(monkeypatch, capsys):
    """A function that runs `kerastrain checkpoints ARGUMENTS`: exit code, the JSON of stdout, text of stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["kerastrain", "checkpoints", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, json.loads(captured.out) if captured.out else None, captured.err

    return run


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "run"
    changes = {"model.layers": [3], "data.name": "synthetic", "data.train_limit": 64, "data.validation": 32}
    recipe = experiments.load("mlp_sequential", {**changes, "training.epochs": 3, "training.precision": "float32"})
    experiments.run(recipe, folder)
    return folder


def test_list_and_verify(command, run_folder):
    code, out, err = command(run_folder)
    assert code == 0
    assert [(row["epoch"], row["finished"]) for row in out["checkpoints"]] == [(2, False), (3, False), (3, True)]
    assert "end of epoch 2" in err and "end of the training" in err
    code, out, _ = command(run_folder, "verify")
    assert code == 0 and {row["status"] for row in out["checkpoints"]} == {"intact"}


def test_show_lists_the_variables(command, run_folder):
    code, out, err = command(run_folder, "show", "--checkpoint", "2")
    assert code == 0
    shapes = {item["path"]: item["shape"] for item in out["variables"]}
    assert [3072, 3] in shapes.values() and [3, 10] in shapes.values()
    assert "EpochRecorder" in err


def test_export_is_the_model_of_the_checkpoint(command, run_folder, tmp_path):
    to = tmp_path / "model.keras"
    code, _, _ = command(run_folder, "export", "--to", to)
    assert code == 0
    trained, exported = (keras.saving.load_model(path) for path in (run_folder / "model.keras", to))
    for left, right in zip(trained.get_weights(), exported.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    code, _, err = command(run_folder, "export", "--to", to)
    assert code == 3 and "is there already" in err


def test_damage_is_named(command, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    about = {"epoch": 1, "step": 0, "finished": False, "logs": {}}
    for number in (1, 2):
        checkpoint_files.write(folder / f"checkpoint-{number:06d}", {"variables": []}, about)
    data = bytearray((folder / "checkpoint-000002" / "state.json").read_bytes())
    data[3] ^= 1
    (folder / "checkpoint-000002" / "state.json").write_bytes(data)
    code, out, err = command(tmp_path, "verify")
    assert code == 0 and [row["status"] for row in out["checkpoints"]] == ["intact", "damaged"]
    assert "checkpoint-000002  damaged: state.json is not what was written" in err
    (folder / "checkpoint-000001" / "manifest.json").write_text("{}")
    code, _, err = command(tmp_path, "verify")
    assert code == 1 and "no checkpoint is intact" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lst"], 2, "Did you mean `list`?"),
        (["show", "--checkpoint", "99"], 2, "`--checkpoint`: expected one of checkpoint-"),
        (["export"], 2, "`--to`"),
        (["export", "--to", "model.h5"], 2, "ends in .keras"),
    ],
)
def test_bad_arguments(command, run_folder, arguments, code, words):
    found, _, err = command(run_folder, *arguments)
    assert found == code and words in err and len(err.splitlines()) == 1


def test_no_checkpoints(command, tmp_path):
    code, _, err = command(tmp_path)
    assert code == 2 and "expected a run folder with checkpoints" in err
