"""How much sooner 85 % on the test set, without test-time augmentation: the speed run's parts, and plain ResNet-20.

    KERASTRAIN_CIFAR10=cifar10.npz python benchmarks/time_to_accuracy.py [--target 0.85] [--seeds 3] [--quick]

Everything is chosen on 5,000 validation images, by trainings on the other 45,000:

1. the plain side's rate, by three epochs with each of `RATES`;
2. what the held out images will add once they are trained on: three seeds of the first of `OURS` with a tenth fewer;
3. how much ours needs, each of `OURS` a whole training whose rate falls to 0, until one reaches, by the mean of three
   seeds, the target less what 2. found: `cifar_speedrun_muon` of half the width, of which 85 % ask no more;
4. whether twelve epochs do for the plain side, by that rate or by half of it; where not, it gets as many as the cap of
   45 minutes holds with all images.

What was chosen is then trained on all 50,000, and the test set read once a seed, both sides in turn. Seconds are of
whole processes: imports, data, compilation, training, test set. One JSON line a run in
`results/time_to_accuracy.jsonl`; what is there of this code is not run again. Five hours on two cores without
bfloat16, of which the last part, whose seconds count, wants nothing else running; stop and go on as you like.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

from speedrun import tree
from suite import RESULTS, best_precision, circumstances, measured

from kerastrain._core import machine, onednn

PATH = RESULTS / "time_to_accuracy.jsonl"
PEER = pathlib.Path(__file__).parent / "resnet20_peer.py"
RATES = (0.05, 0.1, 0.2, 0.4, 0.8)  # 0.4 was the best of the first four, so one more beyond it.
EPOCHS = 12  # After 8 it had 82.4 %.
CAP = 45 * 60
TRAIN, VALIDATION = 50_000, 5000
SEEDS = 3
SPREAD = 0.003  # Of one training's accuracy by seeds: what is further below the target than that is not tried again.
FEWER = 40_500  # Of 45,000, as 45,000 are of 50,000.
# Epochs of ours, and how large its images are until which share of them; from the shortest on, by short_search.yaml.
OURS = (
    (5, (16, 0.2), (20, 0.4), (24, 0.6)),
    (5, (20, 0.4)),
    (5, (24, 0.4)),
    (8, (24, 0.5)),
)


def shortened(epochs, *stages):
    """What of the recipe `cifar_speedrun_muon` is changed."""
    resolutions = ", ".join(f"{{size: {size}, until: {until}}}" for size, until in stages)
    return {
        "model.widths": "[32, 128, 128]",
        "training.epochs": epochs,
        "data.augment.resolutions": f"[{resolutions}]",
    }


def plain(seed, rate, epochs, validation):
    """One run of the plain side."""
    command = [sys.executable, str(PEER), os.environ["KERASTRAIN_CIFAR10"], "--rate", str(rate), "--seed", str(seed)]
    command += ["--epochs", str(epochs), "--validation", str(validation)]
    command += ["--precision", {"bfloat16": "mixed_bfloat16"}.get(best_precision(), "float32")]
    printed, spent = measured(command)
    return json.loads(printed.splitlines()[-1]) | spent


def ours(seed, changes, validation):
    """One run of the recipe with some keys changed; the validation or the test set once, without views."""
    role = "val" if validation else "test"
    settings = {
        "data.validation": validation,
        "evaluation.roles": f"[{role}]",
        "evaluation.test_time_augmentation": "null",
        **changes,
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "kerastrain.cli.main", "train", "cifar_speedrun_muon"]
        command += ["--out", f"{folder}/run", "--seed", str(seed)]
        command += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        printed, spent = measured(command)
    result = json.loads(printed.splitlines()[-1])
    return {
        "asked": {"val": "validation"}.get(role, role),
        "accuracy": round(result[role]["accuracy"], 4),
        "training_seconds": round(result["training_seconds"], 1),
        **spent,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=float, default=0.85)
    parser.add_argument("--seeds", type=int, default=3, help="of the trainings that read the test set")
    parser.add_argument("--quick", action="store_true", help="that it runs, on few images; nothing is written")
    arguments = parser.parse_args()
    if arguments.quick:
        small = {"data.name": "synthetic", "data.train_limit": 128, "training.batch_size": 64, "training.epochs": 1}
        print(json.dumps(ours(0, small, 0)))
        return
    onednn.switch_on()  # For both sides.
    rows = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []
    rows = [row for row in rows if row["machine"]["flags"] == machine.facts()["flags"]]

    def once(phase, side, about, run):
        code = tree() if side == "kerastrain" else tree(f"benchmarks/{PEER.name}")
        about = {"phase": phase, "side": side, "code": code, **about}
        known = next((row for row in rows if about.items() <= row.items()), None)
        if known is None:
            known = {**about, **run(), **circumstances()}
            rows.append(known)
            with PATH.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known) + "\n")
            print(json.dumps({key: known[key] for key in (*about, "accuracy", "seconds")}), flush=True)
        return known

    def peer(phase, rate, epochs, seed=0, validation=VALIDATION):
        about = {"rate": rate, "epochs": epochs, "seed": seed}
        return once(phase, "plain ResNet-20", about, lambda: plain(seed, rate, epochs, validation))

    def recipe(phase, changes, seed=0, validation=VALIDATION):
        about = {"changes": changes, "seed": seed}
        return once(phase, "kerastrain", about, lambda: ours(seed, changes, validation))

    def added(changes):
        by_seeds = [
            recipe("budget", changes, seed)["accuracy"]
            - recipe("fewer images", {**changes, "data.train_limit": FEWER}, seed)["accuracy"]
            for seed in range(SEEDS)
        ]
        return max(0.0, statistics.mean(by_seeds))

    def reaches(changes, bar):
        found = []
        for seed in range(SEEDS):
            found.append(recipe("budget", changes, seed)["accuracy"])
            if statistics.mean(found) < bar - SPREAD:
                return False
        return statistics.mean(found) >= bar

    rate = max((peer("rate", rate, 3) for rate in RATES), key=lambda row: row["accuracy"])["rate"]
    changes = [shortened(*budget) for budget in OURS]
    bar = arguments.target - added(changes[0])
    print(json.dumps({"asked of validation images": round(bar, 4)}), flush=True)
    changes = next((some for some in changes if reaches(some, bar)), changes[-1])
    # What is the best rate of three epochs may be too high for more.
    best = max((peer("budget", one, EPOCHS) for one in (rate, rate / 2)), key=lambda row: row["accuracy"])
    epochs = EPOCHS
    if best["accuracy"] < bar:
        epochs = int(CAP / (best["seconds"] / EPOCHS * TRAIN / (TRAIN - VALIDATION)))
    for seed in range(arguments.seeds):
        recipe("test", changes, seed, 0)
        peer("test", best["rate"], epochs, seed, 0)


if __name__ == "__main__":
    main()
