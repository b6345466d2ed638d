"""The speed run beside its PyTorch peer: whole processes in turn, one JSON line a run, resumable.

    KERASTRAIN_CIFAR10=cifar10.npz python benchmarks/speedrun.py [--seeds 5] [--sides kerastrain pytorch]
        [--recipe cifar_speedrun_muon] [--set KEY=VALUE]

Each run is a process of its own, and its seconds are of the whole of it: imports, data, compilation, training, and the
test set with and without views. What `results/speedrun.jsonl` has of this commit's `kerastrain/` is not run again. On
two cores a pair takes half an hour or more; stop it and start it again as you like, with nothing else running.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from suite import RESULTS, circumstances

PATH = RESULTS / "speedrun.jsonl"


def tree():
    """The package as git knows it: what the speed of the Keras side depends on."""
    command = ["git", "rev-parse", "--short=12", "HEAD:kerastrain"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def children_seconds():
    times = os.times()
    return times.children_user + times.children_system


def kerastrain(seed, recipe, settings):
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "kerastrain.cli.main", "train", recipe, "--out", f"{folder}/run"]
        command += ["--seed", str(seed), *settings]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    views = result.get("test_time_augmentation", {}).get("test", {})
    return {
        "training_seconds": result["training_seconds"],
        "plain": result["test"]["accuracy"],
        "views_probabilities": views.get("accuracy"),
        "execution": result["execution"],
    }


def pytorch(seed, recipe, settings):
    command = [
        sys.executable,
        str(pathlib.Path(__file__).parent / "airbench_peer.py"),
        os.environ["KERASTRAIN_CIFAR10"],
    ]
    done = subprocess.run([*command, "--seed", str(seed)], stdout=subprocess.PIPE, text=True, check=True)
    row = json.loads(done.stdout.splitlines()[-1])
    return {key: value for key, value in row.items() if key not in ("side", "seed", "seconds", "cpu_seconds")}


SIDES = {"kerastrain": kerastrain, "pytorch": pytorch}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--recipe", default="cifar_speedrun_muon", help="of the Keras side")
    parser.add_argument("--set", action="append", default=[], help="as `kerastrain train` takes it")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []
    settings = [part for setting in arguments.set for part in ("--set", setting)]
    for seed in range(arguments.seeds):
        # There and back, so that neither side is always the first.
        for side in arguments.sides[:: 1 if seed % 2 == 0 else -1]:
            code = tree() if side == "kerastrain" else "peer"
            about = {"side": side, "seed": seed, "code": code, "settings": settings, "recipe": arguments.recipe}
            if side == "pytorch":  # Which knows neither.
                about |= {"settings": [], "recipe": "airbench94"}
            if any(about.items() <= row.items() for row in rows):
                continue
            wall, cpu = time.perf_counter(), children_seconds()
            found = SIDES[side](seed, arguments.recipe, settings)
            seconds = {
                "seconds": round(time.perf_counter() - wall, 1),
                "cpu_seconds": round(children_seconds() - cpu, 1),
            }
            row = {**about, **found, **seconds, **circumstances()}
            with PATH.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(row)
            print(
                json.dumps({key: row.get(key) for key in ("side", "seed", "plain", "views_probabilities", "seconds")})
            )


if __name__ == "__main__":
    main()
