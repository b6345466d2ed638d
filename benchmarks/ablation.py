"""The table and the figure of an ablation, from the folder of its finished search.

KERASTRAIN_CIFAR10=cifar10.npz kerastrain search tuner_configs/grid_ablation.yaml --out runs/ablation
python benchmarks/ablation.py runs/ablation && python benchmarks/summary.py
"""

import collections
import json
import pathlib
import sys
from typing import Any

from suite import RESULTS

from kerastrain import plots
from kerastrain._core import atomic_files

FIGURE = pathlib.Path(__file__).parents[1] / "docs" / "figures" / "ablation.png"


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    summary = json.loads((folder / "search.json").read_text(encoding="utf-8"))
    history: dict[int, list[float]] = collections.defaultdict(list)
    for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        history[row["trial"]].append(row["val_accuracy"])
    found: dict[str, list[float]] = collections.defaultdict(list)
    lines = []
    for trial in summary["trials"]:
        parameters, accuracies = trial["parameters"], history[trial["number"]]
        # The last epoch's: the best of five would be chosen by the data that it is measured on.
        found[parameters["variant"]].append(accuracies[-1])
        lines.append(
            {
                "variant": parameters["variant"],
                "seed": parameters["training.seed"],
                "val_accuracy": [round(value, 5) for value in accuracies],
                "seconds": trial["seconds"],
            }
        )
    facts: dict[str, Any] = {
        "command": "kerastrain search tuner_configs/grid_ablation.yaml",
        "fixed": {key: value for key, value in parameters.items() if key not in ("variant", "training.seed")},
        "status": summary["status"],
        "seconds": summary["seconds"],
        "versions": summary["versions"],
        "machine": summary["machine"],
    }
    text = "".join(json.dumps(line) + "\n" for line in [facts, *lines])
    atomic_files.write_text(RESULTS / "ablation.jsonl", text)
    baseline = found.pop("baseline")
    groups: dict[str, dict[str, list[float]]] = collections.defaultdict(dict)
    for variant, values in found.items():
        factor, _, name = variant.partition(" ")
        groups[factor][name] = values
    figure = plots.effects(
        groups,
        baseline,
        x_label="validation accuracy after 5 epochs, 10,000 images, 3 seeds",
        title="One factor at a time: a small convnet on CIFAR-10 (JPEG copy)",
    )
    figure.savefig(FIGURE, dpi=110)


if __name__ == "__main__":
    main()
