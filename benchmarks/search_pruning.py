"""What early killing saves, and what it costs: the rank that the trial a pruned search chose has without pruning.

    python benchmarks/search_pruning.py [--trials 32] [--epochs 27] [--seeds 3] [--quick]

The trials of `search_speed.py` with three activations, longer, each search with three seeds. All trials of one seed are
the same whatever the pruner, so that the unpruned search tells the true rank of each: by its best epoch, as a search
ranks. Models are re-used throughout. `times_as_many_trials_an_hour` is by wall seconds, side by side.
"""

import argparse
import pathlib
import statistics
import tempfile
import time
from typing import Any

from search_speed import quiet, written
from suite import write

from kerastrain import tuning

PRUNERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "median": {"type": "median", "startup_trials": 5, "warmup_epochs": 2},
    "asha": {"type": "asha", "min_epochs": 3, "reduction_factor": 3},
}


def searched(folder: pathlib.Path, trials: int, epochs: int, seed: int, pruner: dict[str, Any] | None) -> Any:
    """A whole search, and its seconds."""
    strategy = {"strategy": "random", "max_trials": trials, "seed": seed}
    keys: dict[str, Any] = {"search": strategy} | ({"pruner": pruner} if pruner else {})
    path = written(folder, trials, True, epochs, **keys)
    begin = time.perf_counter()
    with quiet():
        result = tuning.search(path, out=folder / "out")
    return result, time.perf_counter() - begin


def row(trials: int, epochs: int, seed: int) -> dict[str, Any]:
    """All pruners on the same trials."""
    found = {}
    for name, pruner in list(PRUNERS.items())[:: 1 if seed % 2 == 0 else -1]:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = searched(pathlib.Path(folder), trials, epochs, seed, pruner)
    whole, seconds = found["none"]
    all_epochs = sum(len(trial.history) for trial in whole.trials)
    true = sorted(whole.trials, key=lambda trial: whole.objective.sortable(trial.value))
    order = [trial.number for trial in true]
    facts = {}
    for name in PRUNERS:
        result, its_seconds = found[name]
        ranked = sorted(
            (trial for trial in result.trials if trial.status == "completed"),
            key=lambda trial: result.objective.sortable(trial.value),
        )
        numbers = [trial.number for trial in ranked]
        facts[name] = {
            "seconds": round(its_seconds, 1),
            "times_as_many_trials_an_hour": round(seconds / its_seconds, 2),
            "share_of_the_epochs": round(sum(len(trial.history) for trial in result.trials) / all_epochs, 3),
            "completed": len(ranked),
            "true_rank_of_the_chosen": order.index(numbers[0]) + 1,
            "rank_of_the_true_best": numbers.index(order[0]) + 1 if order[0] in numbers else "pruned",
        }
    return {"seed": seed, "trials": trials, "epochs": epochs, "pruners": facts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="8 trials of 4 epochs, nothing written: that it runs")
    arguments = parser.parse_args()
    if arguments.quick:
        print(row(8, 4, 0))
        return
    row(8, 4, 0)  # The first search of a process pays for imports.
    rows = [row(arguments.trials, arguments.epochs, seed) for seed in range(arguments.seeds)]
    for name in PRUNERS:
        speeds = [found["pruners"][name]["times_as_many_trials_an_hour"] for found in rows]
        print(name, statistics.median(speeds), [found["pruners"][name]["true_rank_of_the_chosen"] for found in rows])
    print(write("search_pruning", rows))


if __name__ == "__main__":
    main()
