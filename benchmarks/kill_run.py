"""ResNet-20 with every feature on, killed again and again: does it end as the run that nothing happened to?

    KERASTRAIN_CIFAR10=cifar10.npz python benchmarks/kill_run.py [--kills 5] [--seed 0] [--out runs/kill_run]

Trains `every_feature.yaml` undisturbed, then the same recipe in another folder with `kill -9` at random times, each
time continued by the same command. Compared are all bits of weights, slots, averages, seeds, counters and callbacks'
states in the last checkpoint, the models' files, history.csv (without its seconds) and result.json's metrics.
"""

import argparse
import csv
import json
import pathlib
import random
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
from suite import RESULTS, circumstances

from kerastrain._core import atomic_files, checkpoint_files
from kerastrain._core.checkpoint_store import CheckpointStore

RECIPE = pathlib.Path(__file__).parent / "every_feature.yaml"


def command(folder: pathlib.Path, data: str | None) -> list[str]:
    source = [] if data is None else ["--data", data]
    return [sys.executable, "-m", "kerastrain.cli.main", "train", str(RECIPE), *source, "--out", str(folder)]


def undisturbed(folder: pathlib.Path, data: str | None) -> float:
    start = time.monotonic()
    subprocess.run(command(folder, data), check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def disturbed(folder: pathlib.Path, data: str | None, kills: int, seconds: float, seed: int) -> list[dict[str, Any]]:
    """Kill at random times, each after the run has come further than before; then let it end."""
    generator = random.Random(seed)
    told = []
    for kill in range(kills):
        # Starting takes some seconds of every process; a fifth of the run for each is about as far as it gets.
        wait = generator.uniform(0.2, 1.0) * seconds / (kills + 1) + 15
        process = subprocess.Popen(command(folder, data), stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        places = [
            checkpoint_files.read_manifest(path)["about"] for path in CheckpointStore(folder / "checkpoints").paths()
        ]
        place = {key: places[-1][key] for key in ("epoch", "step", "finished")} if places else None
        told.append({"kill": kill + 1, "after_seconds": round(wait, 1), "code": process.returncode, "newest": place})
        print(told[-1], flush=True)
    subprocess.run(command(folder, data), check=True, stdout=subprocess.DEVNULL)
    return told


def state(folder: pathlib.Path) -> Any:
    found = CheckpointStore(folder / "checkpoints").newest_valid(print)
    assert found is not None and found[2]["finished"]
    return {key: value for key, value in found[1].items() if key != "identity"}


def differing(left: Any, right: Any, place: str = "") -> list[str]:
    """Where two trees differ in a bit; a run's wall time is no part of it."""
    if isinstance(left, np.ndarray):
        same = isinstance(right, np.ndarray) and left.dtype == right.dtype and left.tobytes() == right.tobytes()
        return [] if same else [place]
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        timed = {"seconds", "resumed"}  # What the recorder says of how it came about, and not of the training.
        return [one for key in left if key not in timed for one in differing(left[key], right[key], f"{place}/{key}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [
            one
            for index, pair in enumerate(zip(left, right, strict=True))
            for one in differing(*pair, f"{place}/{index}")
        ]
    return [] if left == right else [f"{place}: {left} != {right}"]


def history(folder: pathlib.Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as stream:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)]


def weights(path: pathlib.Path) -> list[np.ndarray]:
    import keras

    import kerastrain.layers  # noqa: F401  Its layers are in the model.

    found: list[np.ndarray] = keras.saving.load_model(path, compile=False).get_weights()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/kill_run"))
    arguments = parser.parse_args()
    one, two = arguments.out / "undisturbed", arguments.out / "killed"
    seconds = undisturbed(one, arguments.data)
    kills = disturbed(two, arguments.data, arguments.kills, seconds, arguments.seed)
    left, right = state(one), state(two)
    results = [json.loads((folder / "result.json").read_text(encoding="utf-8")) for folder in (one, two)]
    row = {
        **circumstances(),
        "recipe": RECIPE.name,
        "data": results[0]["data"],
        "seconds_undisturbed": round(seconds, 1),
        "kills": kills,
        "differing": {
            "state": differing(left, right),
            "history": differing(history(one), history(two)),
            **{
                name: differing(weights(one / name), weights(two / name))
                for name in ("model.keras", "training_weights.keras", "best_model.keras")
            },
            "metrics": differing(*[[result[role] for role in ("train", "val", "test")] for result in results]),
        },
        "arrays_compared": len(left["variables"]),
        "test": results[0]["test"],
    }
    atomic_files.write_json(RESULTS / "kill_run.json", row)
    print(json.dumps(row["differing"]))
    sys.exit(1 if any(row["differing"].values()) else 0)


if __name__ == "__main__":
    main()
