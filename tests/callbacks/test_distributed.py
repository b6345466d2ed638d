"""A training on two devices is the one on one device, and killed it goes on: on JAX with two processes or with two
devices of one, on TensorFlow with two replicas. Children, for devices cannot be divided once a backend runs."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
from readme_code import blocks

SCRIPT = pathlib.Path(__file__).parents[1] / "distributed_training.py"
PAGE = pathlib.Path(__file__).parents[2] / "docs" / "distribution.md"
# Sums over a batch are taken in another order; seen: 6e-8 on JAX and 4e-6 of a loss of 30 on TensorFlow.
SAME = {"rtol": 1e-5, "atol": 1e-6}
pytestmark = pytest.mark.slow


def started(*arguments, script=SCRIPT, **options):
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def ended(*children, code=0):
    try:
        for child in children:
            errors = child.communicate(timeout=240)[1]
            assert child.returncode == code, errors[-3000:]
    finally:
        for child in children:
            child.kill()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def pair(what, folder, code=0):
    port = free_port()
    ended(*(started(what, folder, rank, port) for rank in (0, 1)), code=code)


def arrays(folder, name):
    with np.load(folder / f"{name}.npz") as loaded:
        return dict(loaded)


def close(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], err_msg=name, **SAME)


def identical(left, right):
    assert left.keys() == right.keys()
    assert [name for name in left if left[name].tobytes() != right[name].tobytes()] == []


@pytest.fixture(scope="module")
def jax(tmp_path_factory):
    pytest.importorskip("jax")
    folder = tmp_path_factory.mktemp("jax")
    ended(started("jax-devices", folder))
    pair("jax-process", folder, code=9)
    pair("jax-resume", folder)
    return folder


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirrored")
    ended(started("mirrored", folder))
    return folder


def test_on_jax_two_devices_or_two_processes_train_as_one_device(jax):
    one = arrays(jax, "one")
    assert one["largest gradient norm"] > 1, "the bound of 0.1 must bind"
    close(arrays(jax, "devices"), one)
    close(arrays(jax, "process 0"), one)
    identical(arrays(jax, "process 1"), arrays(jax, "process 0"))


def test_on_jax_two_processes_are_stopped_by_a_signal_of_one_and_killed_and_go_on_from_one_checkpoint(jax):
    said = [json.loads((jax / f"said {rank}.json").read_text()) for rank in (0, 1)]
    assert said[0]["resumed from"] == said[1]["resumed from"]
    # Behind step 2 by the signal, then step 4, the epoch, and steps 2 and 4 of the next.
    assert said[0]["resumed from"].endswith("checkpoint-000005")
    for rank in (0, 1):
        identical(arrays(jax, f"resumed {rank}"), arrays(jax, "process 0"))
    assert [path.name for path in sorted(jax.glob("processes/*"))] == ["best.keras", "checkpoints"]


def test_on_jax_what_one_process_refuses_all_refuse(jax):
    said = [json.loads((jax / f"said {rank}.json").read_text()) for rank in (0, 1)]
    assert [each["told"] for each in said] == ["process 1: `x` is not y.", "`x` is not y."]
    assert [each["all"] for each in said] == [[0, 1], [0, 1]]
    assert "divisible by the 2 devices" in said[0]["unequal"] and "batches of 1 samples" in said[0]["unequal"]


def test_on_tensorflow_two_replicas_train_as_one_device(mirrored):
    close(arrays(mirrored, "replicas"), arrays(mirrored, "one"))


def test_on_tensorflow_killed_replicas_go_on_to_the_same_bits(mirrored):
    identical(arrays(mirrored, "resumed"), arrays(mirrored, "apart"))
    statistics = [name for name in arrays(mirrored, "one") if "moving_variance" in name]
    apart, one = arrays(mirrored, "apart"), arrays(mirrored, "one")
    assert not any(np.allclose(apart[name], one[name]) for name in statistics), "each replica has its own statistics"


def test_on_tensorflow_what_keras_cannot_do_is_refused(mirrored):
    said = json.loads((mirrored / "said.json").read_text())
    assert said["execution"] == [1, False]
    assert "must be 1 or auto under a tf.distribute strategy" in said["steps"]
    assert "must be False or auto under a tf.distribute strategy" in said["jit"]
    for name in ("ComposedOptimizer", "fast_compile", "ResumableCheckpoint"):
        assert "Keras 3 does not train under tf.distribute.MultiWorkerMirroredStrategy" in said[name]
        assert "KERAS_BACKEND=jax with keras.distribution" in said[name]
    assert "A recipe is trained on one device" in said["recipe"]


def script_of_the_page(number, folder):
    """One of the page's scripts, as it is written there."""
    path = folder / "script.py"
    path.write_text(blocks(PAGE.read_text(encoding="utf-8"), "py")[number], encoding="utf-8")
    return path


def test_the_script_for_several_machines_runs(tmp_path):
    pytest.importorskip("jax")
    settings = os.environ | {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{free_port()}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    }
    script = script_of_the_page(0, tmp_path)
    ended(
        *(started(script=script, cwd=tmp_path, env=settings | {"KERAS_DISTRIBUTION_PROCESS_ID": rank}) for rank in "01")
    )
    assert (tmp_path / "runs" / "machines" / "checkpoints" / "checkpoint-000005").is_dir()
    assert (tmp_path / "model.keras").exists()


def test_the_script_for_several_devices_runs(tmp_path):
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    ended(started(script=script_of_the_page(1, tmp_path), cwd=tmp_path, env=environment))
    assert (tmp_path / "runs" / "devices" / "checkpoints" / "checkpoint-000005").is_dir()
