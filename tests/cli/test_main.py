import csv
import json
import pathlib
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import PIL.Image
import pytest

QUICK = ["--set", "model.layers=[6]", "--set", "training.precision=float32"]


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """Sixty random 8x8 images of three classes."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    np.savez(path, x=images, y=np.arange(60) % 3)
    return path


def test_train_prints_one_line_of_json(command, tmp_path):
    code, out, err = command("train", "mlp_sequential", "--smoke", "--seed", 7, "--out", tmp_path / "run", *QUICK)
    assert code == 0 and len(out) == 1
    result = json.loads(out[-1])
    assert {"run", "train", "val", "test", "seconds", "images_per_second", "seed"} <= set(result)
    assert result["run"] == str(tmp_path / "run") and result["seed"] == 7
    for role in ("train", "val", "test"):
        assert set(result[role]) == {"loss", "accuracy"}
    assert "synthetic" in err and "Chosen:" in err and "epoch   1/2" in err
    code, again, err = command("train", "mlp_sequential", "--smoke", "--seed", 7, "--out", tmp_path / "run", *QUICK)
    assert (code, again) == (0, out) and "nothing is trained" in err


def test_flags_and_settings_reach_the_recipe(command, small_file, tmp_path):
    code, out, _ = command(
        "train", "mlp_functional", "--data", small_file, "--epochs", 1, "--batch-size", 9, "--seed", 3,
        "--set", "optimizer.rule.momentum=0.5", "--set", "data.validation=0.25", "--out", tmp_path / "run", *QUICK,
    )  # fmt: skip
    assert code == 0, out
    from kerastrain import experiments

    recipe = experiments.load(tmp_path / "run" / "recipe.yaml")
    assert (recipe.training.epochs, recipe.training.batch_size, recipe.training.seed) == (1, 9, 3)
    assert recipe.optimizer.rule["momentum"] == 0.5 and recipe.data.validation == 0.25
    assert recipe.data.name == str(small_file) and recipe.model["layers"] == [{"units": 6}]


def test_evaluate_and_predict(command, small_file, tmp_path):
    command("train", "mlp_functional", "--data", small_file, "--epochs", 1, "--set", "data.validation=0.25",
            "--out", tmp_path / "run", *QUICK)  # fmt: skip
    trained = json.loads((tmp_path / "run" / "result.json").read_text())
    code, out, err = command("evaluate", tmp_path / "run")
    assert code == 0 and len(out) == 1
    assert json.loads(out[0])["test"] == pytest.approx(trained["test"], rel=1e-5)
    lines = err.splitlines()
    assert lines[0] == f"Evaluating {tmp_path / 'run'}" and str(small_file) in lines[1]
    assert lines[2].split() == ["loss", "accuracy"]
    assert [line.split()[0] for line in lines[3:]] == ["train", "val", "test"]
    assert float(lines[5].split()[2]) == pytest.approx(trained["test"]["accuracy"], abs=1e-4)
    shutil.copy(tmp_path / "run" / "model.keras", tmp_path / "bare.keras")
    code, out, err = command("evaluate", tmp_path / "bare.keras", "--data", small_file)
    assert code == 0 and [line.split()[0] for line in err.splitlines()[3:]] == ["test"]
    assert json.loads(out[0])["test"] == pytest.approx(trained["test"], rel=1e-5)
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    code, out, err = command("predict", tmp_path / "run", tmp_path / "a.png")
    assert code == 0 and len(out) == 1
    (row,) = json.loads(out[0])["predictions"]
    assert set(row["probabilities"]) == {"0", "1", "2"} and f"{tmp_path / 'a.png'}: {row['class']}" in err
    code, out, err = command("predict", tmp_path / "run", tmp_path / "b.png")
    assert (code, out) == (2, []) and "b.png: expected an image file" in err


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["train", "residul"], "unknown recipe `residul`. Did you mean `residual`?"),
        (["train", "absent.yaml"], "there is no such recipe file"),
        (["train", "residual", "--set", "model.dpth=20"], "`model.dpth`: unknown key. Did you mean `depth`?"),
        (["train", "residual", "--set", "model.depth"], "`--set`: expected KEY=VALUE. Received: 'model.depth'"),
        (["train", "residual", "--set", "model..depth=3"], "is not a dotted path"),
        (["train", "residual", "--set", "model.depth=[3"], "--set model.depth:1: not valid YAML"),
        (["train", "residual", "--epochs", "0"], "--epochs: `training.epochs`: expected a number >= 1. Received: 0."),
        (["train", "residual", "--batch-size", "-3"], "--batch-size: `training.batch_size`"),
        (["train", "residual", "--seed", "-1"], "--seed: `training.seed`"),
        (["train", "residual", "--set", "training.epochs=0"], "--set: `training.epochs`"),
        (["train", "residual", "--data", "cifr10"], "Did you mean `cifar10`?"),
        (["evaluate", "/nowhere"], "expected a run folder with a model.keras"),
        (["predict", "/nowhere", "a.png"], "expected a run folder with a model.keras"),
        (["predict", "/nowhere", "a.png", "--dropout-samples", "1"], "`--dropout-samples` must be a whole number >= 2"),
        (["list", "topologys"], "Did you mean `topologies`?"),
        (["search", "absent.yaml"], "absent.yaml"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(command, arguments, fragment):
    code, out, err = command(*arguments)
    assert (code, out) == (2, [])
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("kerastrain: "), err
    assert fragment in lines[0], lines[0]


def test_search_check_and_dry_run_train_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = pathlib.Path(__file__).parents[2] / "tuner_configs" / "random_mlp.yaml"
    code, out, err = command("search", config, "--check")
    assert (code, len(out)) == (0, 1) and "random_mlp.yaml: valid. random: " in err and "Trial" not in err
    assert "plan" not in json.loads(out[0])
    code, out, err = command("search", config, "--dry-run", "--max-trials", 3)
    (found,) = map(json.loads, out)
    assert code == 0 and [trial["number"] for trial in found["plan"]] == [1, 2, 3]
    assert "Trials of random_mlp" in err and "learning_rate" in err
    assert list(tmp_path.iterdir()) == []
    broken = tmp_path / "broken.yaml"
    broken.write_text(config.read_text().replace("type: float", "type: flaot", 1))
    code, out, err = command("search", broken, "--check")
    assert (code, out) == (2, []) and f"{broken}:" in err and "Did you mean `float`?" in err


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["trian"], ["'trian'", "Did you mean 'train'?", "See `kerastrain --help`."]),
        (["train"], ["Missing argument 'NAME_OR_RECIPE.yaml'.", "See `kerastrain train --help`."]),
        (["train", "residual", "--epochs", "x"], ["'--epochs'", "valid integer", "See `kerastrain train --help`."]),
        (["train", "residual", "--epoch", "3"], ["--epoch", "--epochs", "See `kerastrain train --help`."]),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(command, arguments, fragments):
    code, out, err = command(*arguments)
    assert (code, out) == (2, [])
    (line,) = err.splitlines()
    assert line.startswith("kerastrain: ") and all(fragment in line for fragment in fragments), line


def test_without_arguments_there_is_help_on_stderr(command):
    code, out, err = command()
    assert (code, out) == (2, []) and err.startswith("Usage: kerastrain ")


def test_help_fits_80_columns(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = command("--help")
    commands = out[out.index("Commands:") + 1 :]
    assert code == 0 and len(commands) == 10
    assert all(len(line) <= 80 and line.endswith(".") and not line.endswith("...") for line in commands), commands


@pytest.mark.parametrize("arguments", [["train", "residual"], ["evaluate", "run"], ["predict", "run", "a.png"]])
def test_an_interrupt_outside_training_is_one_line_and_exit_code_130(command, monkeypatch, arguments):
    def interrupt(verbose):
        raise KeyboardInterrupt

    monkeypatch.setattr("kerastrain.cli.main._experiments", interrupt)
    assert command(*arguments) == (130, [], "kerastrain: interrupted.\n")


def test_a_folder_of_another_run_is_refused_with_exit_code_3(command, tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    code, out, err = command("train", "mlp_sequential", "--smoke", "--out", tmp_path)
    assert (code, out) == (3, [])
    assert "kerastrain: " in err and "is not empty and has no recipe.yaml" in err


def test_a_diverged_run_is_exit_code_1(command, small_file, tmp_path):
    code, out, err = command(
        "train", "mlp_sequential", "--data", small_file, "--epochs", 2, "--set", "optimizer.learning_rate=1e20",
        "--set", "data.validation=0.25", "--out", tmp_path / "run", *QUICK,
    )  # fmt: skip
    assert (code, out) == (1, [])
    assert err.splitlines()[-1].startswith("kerastrain: diverged: ")


def test_list_names_everything_that_is_registered(command):
    from kerastrain.topologies import TOPOLOGIES

    code, out, _ = command("list", "topologies")
    assert code == 0
    assert {line.split()[0] for line in out} == set(TOPOLOGIES.names())
    code, out, _ = command("list")
    titles = {line.rstrip(":") for line in out if line.endswith(":") and not line.startswith(" ")}
    assert {"recipes", "datasets", "topologies", "schedules", "callbacks"} <= titles


@pytest.mark.parametrize(
    ("argument", "fragments"),
    [("--help", ["train", "search", "evaluate", "predict", "list"]), ("--version", ["kerastrain 0.1.0"])],
)
def test_help_and_version_import_no_backend(argument, fragments):
    code = (
        "import sys, kerastrain.cli.main as cli\n"
        f"sys.argv = ['kerastrain', '{argument}']\n"
        "try:\n    cli.main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'torch', 'matplotlib', 'keras_tuner'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(fragment in done.stdout for fragment in fragments)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_usable_folder(number, code, small_file, tmp_path):
    arguments = [
        "train",
        "mlp_sequential",
        "--data",
        str(small_file),
        "--epochs",
        "100000",
        "--out",
        str(tmp_path / "run"),
    ]
    arguments += ["--set", "data.validation=0.25", *QUICK]
    with subprocess.Popen(
        [sys.executable, "-m", "kerastrain.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        told = []
        for line in process.stderr:
            told.append(line)
            if line.startswith("epoch   3/"):
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, "".join(told) + err
    assert not any(noise in line for line in told for noise in ("oneDNN custom", "cuda", "absl")), told
    result = json.loads(out)
    assert len(out.splitlines()) == 1 and result["status"] == "interrupted" and "Traceback" not in err
    with (tmp_path / "run" / "history.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == result["epochs"] >= 3
    keras.saving.load_model(tmp_path / "run" / "model.keras")
