"""The shipped searches on CIFAR-10, each within its own `wall_clock`, resumable: one JSON line each.

    KERASTRAIN_CIFAR10=cifar10.npz python benchmarks/shipped_searches.py [NAME ...] [--out runs/searches]

Writes `results/searches.jsonl` and, of each, the table of trials to `results/searches/NAME.csv`. A search that is
finished in its folder is not run again.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

from suite import RESULTS, circumstances

CONFIGS = pathlib.Path(__file__).parent.parent / "tuner_configs"
NAMES = ("random_mlp", "grid_vanishing", "random_residual", "random_convnet")


def row(name, folder):
    found = json.loads((folder / "search.json").read_text())
    statuses = [trial["status"] for trial in found["trials"]]
    best = found["best"] or {}
    return {
        "search": name,
        "command": found["command"],
        "status": found["status"],
        "ended_by": found["ended_by"],
        "trials": {status: statuses.count(status) for status in sorted(set(statuses))},
        "objective": found["objective"],
        "best": {key: best.get(key) for key in ("number", "value", "spread", "epoch", "parameters")},
        "test": found["test"],
        "seconds": found["seconds"],
        "versions": found["versions"],
        "machine": found["machine"],
        **{key: value for key, value in circumstances().items() if key in ("commit", "date", "load_average")},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/searches"))
    arguments = parser.parse_args()
    for name in arguments.names:
        folder = arguments.out / name
        command = [sys.executable, "-m", "kerastrain.cli.main", "search", str(CONFIGS / f"{name}.yaml")]
        subprocess.run([*command, "--data", "cifar10", "--out", str(folder)], check=True, stdout=subprocess.DEVNULL)
        path = RESULTS / "searches.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        rows = [one for one in rows if one["search"] != name] + [row(name, folder)]
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
        (RESULTS / "searches").mkdir(exist_ok=True)
        shutil.copy(folder / "trials.csv", RESULTS / "searches" / f"{name}.csv")


if __name__ == "__main__":
    main()
