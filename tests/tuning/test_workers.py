"""Searches of several processes."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from killed_searches import Search, content, gone, killed, prepared
from small_searches import RATE, write

from kerastrain import tuning
from kerastrain._core.errors import InputError
from kerastrain.tuning import shared_data
from kerastrain.tuning.worker_start import starting


def test_shared_data_are_mapped_once_and_cannot_be_written_to(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 8), dtype=np.uint8)
    shared_data.write(tmp_path / "shared", {"images": images, "again": images, "few": np.arange(3), "name": "x"})
    found = shared_data.read(tmp_path / "shared")
    np.testing.assert_array_equal(found["images"], images)
    assert found["images"] is found["again"] and type(found["images"]) is np.ndarray
    assert isinstance(found["images"].base, np.memmap) and not found["images"].flags.writeable
    assert (found["few"].tolist(), found["name"]) == ([0, 1, 2], "x")
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["0.npy", "data.pickle"]
    shared_data.remove(tmp_path / "shared")
    assert int(found["images"].sum(dtype=int)) == int(images.sum(dtype=int))


def test_a_trial_that_had_not_ended_before_later_ones_is_run_first(tmp_path, quick):
    """What workers leave when the search is killed: trials 1, 3 and 4 of 6."""
    path = write(tmp_path, RATE, search={"strategy": "random", "max_trials": 6, "seed": 0})
    whole = tuning.search(path, out=tmp_path / "whole")
    tuning.search(path, out=tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "search.json").read_text())
    summary["trials"] = [trial for trial in summary["trials"] if trial["number"] in (1, 3, 4)]
    summary["status"] = "running"
    (tmp_path / "out" / "search.json").write_text(json.dumps(summary))
    seen = []
    result = tuning.search(path, out=tmp_path / "out", on_trial=seen.append)
    assert [trial.number for trial in seen] == [2, 5, 6]
    assert [(trial.number, trial.value) for trial in result.trials] == [(t.number, t.value) for t in whole.trials]


def test_workers_that_cannot_be(tmp_path):
    path = write(tmp_path, RATE)
    with pytest.raises(InputError, match="`workers` must be"):
        tuning.search(path, workers=0)
    with pytest.raises(InputError, match="cannot be given the function of `build`"):
        tuning.search(path, build=lambda hp: None, workers=2)


def test_a_process_starts_deaf_to_ctrl_c_with_its_own_log_and_share_of_the_cores(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    log = tmp_path / "logs" / "1.log"
    program = (
        "import os, signal, sys; os.kill(os.getpid(), signal.SIGINT); "
        "print('threads', os.environ['OMP_NUM_THREADS'], file=sys.stderr)"
    )
    for _ in range(2):
        with starting(1000, log):
            child = subprocess.Popen([sys.executable, "-c", program])
        assert child.wait(60) == 0
    os.write(2, b"ours\n")
    assert [line for line in log.read_text().splitlines() if "threads" in line] == ["threads 1"] * 2
    assert capfd.readouterr().err == "ours\n"
    assert "OMP_NUM_THREADS" not in os.environ
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


@pytest.fixture(scope="module")
def peace(tmp_path_factory):
    """A search file, and what two workers make of it when nothing happens."""
    folder = tmp_path_factory.mktemp("workers")
    path = prepared(folder, trials=4)
    code, out, _ = Search(path, folder / "peace").result()
    assert code == 0 and json.loads(out)["trials"] == 4
    return path, content(folder / "peace")


@pytest.mark.slow
def test_one_process_comes_to_the_same(peace, tmp_path):
    path, expected = peace
    assert Search(path, tmp_path / "out", workers=1).result()[0] == 0
    assert content(tmp_path / "out") == expected


@pytest.mark.slow
def test_kills_of_driver_and_workers_lose_nothing(peace, tmp_path):
    path, expected = peace
    done = killed(path, tmp_path / "out", 3, random.Random(1))
    assert sum(done.values()) > 0
    assert content(tmp_path / "out") == expected
    assert not (tmp_path / "out" / "shared_data").exists() and not (tmp_path / "out" / "running_trial").exists()


@pytest.mark.slow
def test_a_trial_whose_worker_dies_three_times_has_failed(peace, tmp_path):
    path, expected = peace
    search, dead, out = Search(path, tmp_path / "out"), 0, tmp_path / "out"
    while dead < 6 and not search.ended():  # The first two trials' workers, three times each.
        time.sleep(0.2)
        for pid in search.workers() if (out / "search.json").exists() else []:
            os.kill(pid, signal.SIGKILL)
            gone([pid], 10)
            dead += 1
    code, _, err = search.result()
    assert code == 0, err[-2000:]
    trials = json.loads((out / "search.json").read_text())["trials"]
    failed = [trial for trial in trials if trial["status"] == "failed"]
    assert failed and all("its worker was killed by signal 9" in trial["message"] for trial in failed)
    assert all((out / trial["message"].split()[-1]).is_file() for trial in failed)
    rest = [(trial["number"], trial["status"], trial["value"]) for trial in trials if trial["status"] != "failed"]
    assert rest == [row for row in expected[1] if row[0] in {number for number, _, _ in rest}]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_and_the_same_command_goes_on(peace, tmp_path, number):
    path, expected = peace
    search = Search(path, tmp_path / "out")
    while not (tmp_path / "out" / "running_trial").exists() and not search.ended():
        time.sleep(0.05)
    workers = search.workers()
    search.process.send_signal(number)
    assert search.result()[0] == 128 + number
    assert gone(workers, 5)
    assert Search(path, tmp_path / "out").result()[0] == 0
    assert content(tmp_path / "out") == expected


@pytest.mark.slow
def test_ctrl_c_while_workers_import_is_told_once_and_without_a_traceback(peace, tmp_path):
    path, expected = peace
    search = Search(path, tmp_path / "out")
    while not search.workers() and not search.ended():
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(search.process.pid, signal.SIGINT)  # As a terminal does: to all that are in it.
    code, _, err = search.result()
    assert code == 130
    assert "Traceback" not in err and "KeyboardInterrupt" not in err and "oneDNN custom" not in err
    assert err.count("Stopped by SIGINT; the same command goes on.") == 1
    logs = "".join(log.read_text() for log in (tmp_path / "out" / "worker_logs").iterdir())
    assert "Traceback" not in logs
    assert Search(path, tmp_path / "out").result()[0] == 0
    assert content(tmp_path / "out") == expected
