import json

import keras
import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core import checkpoint_files


@pytest.fixture
def checkpoints(command):
    """A function that runs `kerastrain checkpoints ARGUMENTS`: exit code, the JSON of stdout, text of stderr."""

    def run(*arguments):
        code, out, err = command("checkpoints", *arguments)
        return code, json.loads(out[-1]) if out else None, err

    return run


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "run"
    changes = {"model.layers": [3], "data.name": "synthetic", "data.train_limit": 64, "data.validation": 32}
    recipe = experiments.load("mlp_sequential", {**changes, "training.epochs": 3, "training.precision": "float32"})
    experiments.run(recipe, folder)
    return folder


def test_list_and_verify(checkpoints, run_folder):
    code, out, err = checkpoints(run_folder)
    assert code == 0
    assert [(row["epoch"], row["finished"]) for row in out["checkpoints"]] == [(2, False), (3, False), (3, True)]
    assert "end of epoch 2" in err and "end of the training" in err
    code, out, _ = checkpoints(run_folder, "verify")
    assert code == 0 and {row["status"] for row in out["checkpoints"]} == {"intact"}


def test_show_lists_the_variables(checkpoints, run_folder):
    code, out, err = checkpoints(run_folder, "show", "--checkpoint", "2")
    assert code == 0
    shapes = {item["path"]: item["shape"] for item in out["variables"]}
    assert [3072, 3] in shapes.values() and [3, 10] in shapes.values()
    assert "EpochRecorder" in err


def test_export_is_the_model_of_the_checkpoint(checkpoints, run_folder, tmp_path):
    to = tmp_path / "model.keras"
    code, _, _ = checkpoints(run_folder, "export", "--to", to)
    assert code == 0
    trained, exported = (keras.saving.load_model(path) for path in (run_folder / "model.keras", to))
    for left, right in zip(trained.get_weights(), exported.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    code, _, err = checkpoints(run_folder, "export", "--to", to)
    assert code == 3 and "is there already" in err


def test_damage_is_named(checkpoints, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    about = {"epoch": 1, "step": 0, "finished": False, "logs": {}}
    for number in (1, 2, 3):
        checkpoint_files.write(folder / f"checkpoint-{number:06d}", {"variables": []}, about)
    state = folder / "checkpoint-000002" / "state.json"
    data = bytearray(state.read_bytes())
    data[3] ^= 1
    state.write_bytes(data)
    (folder / "checkpoint-000003" / "arrays.bin").write_bytes(b"more")

    # Sizes are looked at without reading; a changed bit is not seen, and nobody says that it would be.
    code, out, _ = checkpoints(tmp_path)
    assert code == 0 and [row["status"] for row in out["checkpoints"]] == ["not verified", "not verified", "damaged"]
    code, out, err = checkpoints(tmp_path, "verify")
    assert code == 1 and [row["status"] for row in out["checkpoints"]] == ["intact", "damaged", "damaged"]
    assert "checkpoint-000002  damaged: state.json is not what was written" in err
    assert "checkpoint-000003  damaged: arrays.bin has 4 bytes instead of 0" in err
    assert err.splitlines()[-1].endswith("2 of 3 are damaged: checkpoint-000002, checkpoint-000003.")

    # What a resume has set aside is known, and no news.
    (folder / "checkpoint-000002").rename(folder / "damaged-000002")
    (folder / "checkpoint-000003").rename(folder / "damaged-000003")
    code, out, _ = checkpoints(tmp_path, "verify")
    assert code == 0 and [row["status"] for row in out["checkpoints"]] == ["damaged", "damaged", "intact"]
    (folder / "checkpoint-000001" / "manifest.json").write_text("{}")
    assert checkpoints(tmp_path, "verify")[0] == 1


def test_the_folder_of_a_search_has_none_of_its_own(checkpoints, tmp_path):
    (tmp_path / "search.yaml").write_text("")
    code, _, err = checkpoints(tmp_path)
    assert code == 2 and "is the folder of a search" in err and "running_trial" not in err
    (tmp_path / "running_trial").mkdir()
    code, _, err = checkpoints(tmp_path)
    assert code == 2 and err.rstrip().endswith(f"kerastrain checkpoints {tmp_path / 'running_trial'}")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lst"], 2, "Did you mean `list`?"),
        (["show", "--checkpoint", "99"], 2, "`--checkpoint`: expected one of checkpoint-"),
        (["export"], 2, "`--to`"),
        (["export", "--to", "model.h5"], 2, "ends in .keras"),
    ],
)
def test_bad_arguments(checkpoints, run_folder, arguments, code, words):
    found, _, err = checkpoints(run_folder, *arguments)
    assert found == code and words in err and len(err.splitlines()) == 1


def test_no_checkpoints(checkpoints, tmp_path):
    code, _, err = checkpoints(tmp_path)
    assert code == 2 and "expected a run folder with checkpoints" in err
