"""Train what `benchmarks/evidence.json` lists, and keep one JSON line a run. Stop it and start it again as you like.

    KERASTRAIN_CIFAR10=/path/to/cifar10.npz python benchmarks/evidence.py [--only PART]

A command whose line is there already is not run again; an interrupted run starts over. The folders of the runs are in
`runs/evidence/`; only the lines are committed, in `benchmarks/results/`.
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results" / "cifar10.jsonl"
_COSTS = ("epochs", "seconds", "training_seconds", "images_per_second")
KEPT = {
    "train": ("train", "val", "test", *_COSTS, "seed", "recipe_hash"),
    "search": ("trials", "best", "best_recipe"),
}


def done() -> set[str]:
    """The commands that have their line."""
    if not RESULTS.exists():
        return set()
    return {json.loads(line)["command"] for line in RESULTS.read_text(encoding="utf-8").splitlines()}


def run(command: str, folder: pathlib.Path) -> None:
    """Run one command, its progress on the terminal, and append its line."""
    arguments = [*shlex.split(command)[1:], "--out", str(folder)]
    if not any((folder / name).exists() for name in ("result.json", "search.json")):
        arguments.append("--overwrite")  # begun and not finished
    load = os.getloadavg()[0]
    process = subprocess.run(
        [sys.executable, "-m", "kerastrain.cli.main", *arguments], stdout=subprocess.PIPE, check=True
    )
    result = json.loads(process.stdout.splitlines()[-1])
    row = {"command": command, **{key: result[key] for key in KEPT[arguments[0]] if key in result}}
    if arguments[0] == "train":
        row |= {"data": result["data"]["description"].split(" from ")[0], "samples": result["data"]["samples"]}
        row |= {"machine": result["machine"], "execution": result["execution"], "versions": result["versions"]}
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE, check=True
    )
    row |= {
        "commit": commit.stdout.strip(),
        "date": datetime.date.today().isoformat(),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="run the commands that contain this text")
    arguments = parser.parse_args()
    commands = json.loads((HERE / "evidence.json").read_text(encoding="utf-8"))
    for command in commands:
        if command in done() or (arguments.only and arguments.only not in command):
            continue
        print(f"\n== {command}", file=sys.stderr, flush=True)
        run(
            command,
            pathlib.Path("runs/evidence") / command.replace(" ", "_").replace("/", "_").removeprefix("kerastrain_"),
        )


if __name__ == "__main__":
    main()
