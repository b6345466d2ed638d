"""Searches of several processes, killed at random: nothing is lost, nothing counted twice, and the end is the same.

    python tests/tuning/killed_searches.py [--kills 30] [--seed 0]

A search of eight trials by two workers is run once in peace. Then the same is started again and again and killed: the
driver or one of its workers by SIGKILL, the driver by SIGTERM, at a random moment, also while it saves. When the kills
are used up it may end, and every trial must be there once, with the history that it has in peace, to the bit.
Each epoch is saved, and counted is how often a trial went on from within.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from small_searches import RATE, write

ROOT = pathlib.Path(__file__).parents[2]
SPACE = {**RATE, "model.activation": {"type": "choice", "values": ["relu", "tanh"]}}
SAVING = "\ncallbacks: [{type: resumable_checkpoint, every_epochs: 1}]\n"


def prepared(folder: pathlib.Path, trials: int = 8, epochs: int = 40) -> pathlib.Path:
    """A search file whose trials take a second or so, and save each epoch."""
    path = write(
        folder, SPACE, search={"strategy": "random", "max_trials": trials, "seed": 3}, budget={"epochs": epochs}
    )
    recipe = folder / "tiny.yaml"
    recipe.write_text(recipe.read_text() + SAVING)
    return path


class Search:
    """One process of `kerastrain search --workers 2`, with one thread for each training."""

    def __init__(self, path: pathlib.Path, out: pathlib.Path, workers: int = 2) -> None:
        threads = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {
            **os.environ,
            **dict.fromkeys(threads, "1"),
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        command = [sys.executable, "-m", "kerastrain.cli.main", "search", str(path), "--out", str(out)]
        self.process = subprocess.Popen(
            [*command, "--workers", str(workers)],
            env={**environment, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def workers(self) -> list[int]:
        """The process ids of those that train."""
        try:
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            return [int(pid) for pid in children if b"spawn_main" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
        except OSError:
            return []

    def ended(self) -> bool:
        """Whether it has."""
        return self.process.poll() is not None

    def result(self) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        out, err = self.process.communicate(timeout=900)
        return self.process.returncode, out, err


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float) -> bool:
    """Whether all of them end in that time."""
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def content(out: pathlib.Path) -> list:
    """Every epoch of every trial, without its time, and every trial's value."""
    rows = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    summary = json.loads((out / "search.json").read_text())
    values = [(trial["number"], trial["status"], trial["value"]) for trial in summary["trials"]]
    return [[{key: value for key, value in row.items() if key != "seconds"} for row in rows], values]


def killed(path: pathlib.Path, out: pathlib.Path, kills: int, generator: random.Random) -> dict[str, int]:
    """Run the search with that many kills, and then to its end; what was killed how often."""
    done, resumed = {"driver": 0, "worker": 0, "SIGTERM": 0}, 0
    search = Search(path, out)
    while sum(done.values()) < kills and not search.ended():
        started = time.monotonic()
        while not (out / "running_trial").exists() and not search.ended() and time.monotonic() - started < 120:
            time.sleep(0.05)
        time.sleep(generator.uniform(0.0, 4.0))
        workers = search.workers()
        kind = generator.choice(sorted(done))
        if search.ended() or not workers:
            continue
        if kind == "worker":
            os.kill(generator.choice(workers), signal.SIGKILL)
            done[kind] += 1
            continue
        search.process.send_signal(signal.SIGKILL if kind == "driver" else signal.SIGTERM)
        code, _, err = search.result()
        assert code == (-9 if kind == "driver" else 143) or code == 0, (code, err[-2000:])
        assert gone(workers, 10), "workers outlive the search"
        done[kind] += 1
        resumed += err.count("training goes on in")
        search = Search(path, out)
    code, _, err = search.result()
    assert code == 0, (code, err[-2000:])
    return {**done, "resumed": resumed + err.count("training goes on in")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator, total, rounds, resumed = random.Random(arguments.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        path = prepared(root, epochs=200)
        assert Search(path, root / "peace").result()[0] == 0
        expected = content(root / "peace")
        while total < arguments.kills:
            out = root / f"killed_{rounds}"
            done = killed(path, out, min(6, arguments.kills - total), generator)
            same = content(out) == expected
            print(json.dumps({"round": rounds, **done, "the_same_to_the_bit": same}), flush=True)
            assert same
            resumed += done.pop("resumed")
            total, rounds = total + sum(done.values()), rounds + 1
    print(json.dumps({"kills": total, "searches": rounds, "lost": 0, "twice": 0, "trials_resumed_within": resumed}))


if __name__ == "__main__":
    main()
