"""How much sooner 85 % on the test set, without test-time augmentation: the speed run's parts, and plain ResNet-20.

    KERASTRAIN_CIFAR10=cifar10.npz python benchmarks/time_to_accuracy.py [--target 0.85] [--quick]

1. The plain side's rate: three epochs with each of `RATES`, on 5,000 validation images.
2. The plain side with that rate, each of `BUDGETS` epochs as a whole training of its own whose rate falls to 0, until
   one reaches the target on the test set, or takes longer than the 45 minutes that are the cap.
3. Ours, likewise, with each of `OURS`.

Seconds are of whole processes: imports, data, compilation, training, test set. One JSON line a run in
`results/time_to_accuracy.jsonl`; what is there of this code is not run again. With nothing else running, about two
hours; stop it and start it again as you like.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from speedrun import tree
from suite import RESULTS, circumstances

PATH = RESULTS / "time_to_accuracy.jsonl"
PEER = pathlib.Path(__file__).parent / "resnet20_peer.py"
RATES = (0.05, 0.1, 0.2, 0.4)
BUDGETS = (10, 15, 20, 25, 30)
CAP = 45 * 60
# The recipe `cifar_speedrun_muon`, shortened.
OURS = (
    {"training.epochs": 3},
    {"training.epochs": 4},
    {"training.epochs": 5},
)


def plain(rate, epochs, validation, extra=()):
    """One run of the plain side."""
    command = [sys.executable, str(PEER), os.environ["KERASTRAIN_CIFAR10"], "--rate", str(rate)]
    command += ["--epochs", str(epochs), "--validation", str(validation), *extra]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def ours(changes, extra=()):
    """One run of the recipe with some keys changed; the test set once, without views."""
    begin = time.perf_counter()
    settings = {"evaluation.roles": "[test]", "evaluation.test_time_augmentation": "null", **changes}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "kerastrain.cli.main",
            "train",
            "cifar_speedrun_muon",
            "--out",
            f"{folder}/run",
        ]
        command += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        done = subprocess.run([*command, *extra], stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    return {
        "side": "kerastrain",
        "asked": "test",
        "accuracy": round(result["test"]["accuracy"], 4),
        "training_seconds": round(result["training_seconds"], 1),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=float, default=0.85)
    parser.add_argument("--quick", action="store_true", help="that it runs, on few images; nothing is written")
    arguments = parser.parse_args()
    if arguments.quick:
        small = {"data.name": "synthetic", "data.train_limit": 128, "training.batch_size": 64, "training.epochs": 1}
        print(json.dumps(ours(small)))
        return
    rows = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []

    def measured(about, run):
        known = next((row for row in rows if about.items() <= row.items()), None)
        if known is None:
            known = {**about, **run(), **circumstances()}
            with PATH.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known) + "\n")
            shown = {key: known[key] for key in (*about, "accuracy", "training_seconds", "seconds")}
            print(json.dumps(shown), flush=True)
        return known

    tried = [
        measured({"phase": "rate", "rate": rate, "epochs": 3}, lambda rate=rate: plain(rate, 3, 5000)) for rate in RATES
    ]
    best = max(tried, key=lambda row: row["accuracy"])["rate"]
    for epochs in BUDGETS:
        found = measured({"phase": "plain", "rate": best, "epochs": epochs}, lambda e=epochs: plain(best, e, 0))
        if found["accuracy"] >= arguments.target or found["seconds"] > CAP:
            break
    for changes in OURS:
        about = {"phase": "ours", "changes": changes, "code": tree()}
        if measured(about, lambda changes=changes: ours(changes))["accuracy"] >= arguments.target:
            break


if __name__ == "__main__":
    main()
