"""The speed run beside its PyTorch peer: whole processes in turn, one JSON line a run, resumable.

    KERASTRAIN_CIFAR10=cifar10.npz python benchmarks/speedrun.py [--seeds 5] [--sides kerastrain pytorch]
        [--recipe cifar_speedrun_muon] [--set KEY=VALUE]

Each run is a process of its own, in the precision that is fastest on this processor, the peer's with the memory kept
that it frees, and its seconds are of the whole of it: imports, data, compilation, training, and the test set with and
without views. What `results/speedrun.jsonl` has of this commit's `kerastrain/`, or of the peer as it is, on a processor
of this kind, is not run again. On two cores a pair takes half an hour, or 100 minutes where they have no bfloat16; stop
it and start it again as you like, with nothing else running.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from suite import KEEP_FREED_MEMORY, RESULTS, best_precision, circumstances, measured

from kerastrain._core import machine

PATH = RESULTS / "speedrun.jsonl"


PEER = pathlib.Path(__file__).parent / "airbench_peer.py"


def tree(path="kerastrain"):
    """A folder or file as git knows it: what the speed of a side depends on."""
    command = ["git", "rev-parse", "--short=12", f"HEAD:{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def kerastrain(seed, recipe, settings):
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "kerastrain.cli.main", "train", recipe, "--out", f"{folder}/run"]
        command += ["--seed", str(seed), *settings]
        printed, spent = measured(command)
    result = json.loads(printed.splitlines()[-1])
    views = result.get("test_time_augmentation", {}).get("test", {})
    return {
        "training_seconds": result["training_seconds"],
        "plain": result["test"]["accuracy"],
        "views_probabilities": views.get("accuracy"),
        "execution": result["execution"],
        **spent,
    }


def pytorch(seed, recipe, settings):
    command = [sys.executable, str(PEER), os.environ["KERASTRAIN_CIFAR10"], "--seed", str(seed)]
    printed, spent = measured([*command, "--precision", best_precision()], KEEP_FREED_MEMORY)
    row = json.loads(printed.splitlines()[-1])
    return {key: value for key, value in row.items() if key not in ("side", "seed")} | spent


SIDES = {"kerastrain": kerastrain, "pytorch": pytorch}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--recipe", default="cifar_speedrun_muon", help="of the Keras side")
    parser.add_argument("--set", action="append", default=[], help="as `kerastrain train` takes it")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []
    rows = [row for row in rows if row["machine"]["flags"] == machine.facts()["flags"]]
    settings = [part for setting in arguments.set for part in ("--set", setting)]
    for seed in range(arguments.seeds):
        # There and back, so that neither side is always the first.
        for side in arguments.sides[:: 1 if seed % 2 == 0 else -1]:
            code = tree() if side == "kerastrain" else tree(f"benchmarks/{PEER.name}")
            about = {"side": side, "seed": seed, "code": code, "settings": settings, "recipe": arguments.recipe}
            if side == "pytorch":  # Which knows neither. Rows of plain airbench94 are from before its memory was kept.
                about |= {"settings": [], "recipe": "airbench94, freed memory kept"}
            if any(about.items() <= row.items() for row in rows):
                continue
            row = {**about, **SIDES[side](seed, arguments.recipe, settings), **circumstances()}
            with PATH.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(row)
            print(
                json.dumps({key: row.get(key) for key in ("side", "seed", "plain", "views_probabilities", "seconds")})
            )


if __name__ == "__main__":
    main()
