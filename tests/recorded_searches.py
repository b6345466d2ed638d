"""Search folders without a search: records as a search would have written them."""

import json
import math
import pathlib
import random

from kerastrain import experiments
from kerastrain._core import yaml_document
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.records import TrialRecord, best, history_lines, table_csv

SPACE = {
    "optimizer.learning_rate": {"type": "float", "min": 1e-4, "max": 1.0, "scale": "log"},
    "optimizer.rule": {"type": "choice", "values": ["sgd", "adam"]},
    "optimizer.rule.momentum": {"type": "float", "min": 0, "max": 0.99, "when": {"optimizer.rule": "sgd"}},
    "model.dropout": {"type": "choice", "values": [None, 0.2, {"type": "dropout", "rate": 0.5}]},
    "training.batch_size": {"type": "int", "min": 16, "max": 256, "scale": "log"},
    "data.train_limit": {"type": "choice", "values": [512]},
}
MINIMUM = {"metric": "val_loss", "mode": "min"}


def record(number, parameters, values, *, status="completed", metric="val_loss", mode="min", **fields):
    """A trial whose objective went like `values`."""
    rows = [{"epoch": epoch, "loss": 1.0, metric: value, "seconds": 0.1} for epoch, value in enumerate(values)]
    found = Objective(metric=metric, mode=mode).best(rows) if status == "completed" else None
    value, epoch = found if found is not None else (None, None)
    return TrialRecord(number, parameters, status, value, epoch, 2.0, rows, **fields)


def write_search(folder, space, records, *, objective=MINIMUM, strategy="random", name="tiny", recipe=None, **summary):
    """A search folder of these records, as `search` leaves one."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    base = (recipe or experiments.load("mlp_sequential", {"data.name": "synthetic"})).plain()
    named = "mlp_sequential"
    if recipe is not None:  # Beside the search, as a user's own is.
        named = f"{folder.name}_recipe.yaml"
        (folder.parent / named).write_text(recipe.to_yaml())
    count = max(1, len(records))
    identity = {
        "schema": 1,
        "name": name,
        "recipe": base,
        "objective": objective,
        "search": {"strategy": strategy, "max_trials": count, "seed": 0},
        "budget": {"epochs": None, "wall_clock": None},
        "space": space,
        "trials": count,
    }
    found = best(records, Objective(**objective))
    whole = {
        "status": "finished",
        "ended_by": "max_trials",
        "objective": objective,
        "trials": [trial.summary() for trial in records],
        "best": None if found is None else found.summary(),
        "best_recipe": None if found is None else "best_recipe.yaml",
        "seconds": sum(trial.seconds for trial in records),
        "identity": identity,
        "versions": {"python": "3.11.0", "keras": "3.15.0"},
        "machine": {"processor": "a processor", "flags": ["avx2"], "cores": 2, "memory_gib": 8.0, "system": "Linux"},
        **summary,
    }
    config = {key: value for key, value in identity.items() if key != "trials"}
    config["recipe"] = named if recipe is None else str((folder.parent / named).resolve())
    (folder / "search.yaml").write_text(yaml_document.dump(config))
    if found is not None:
        (folder / "best_recipe.yaml").write_text(yaml_document.dump(base))
    (folder / "trials.csv").write_text(table_csv(records, space))
    (folder / "history.jsonl").write_text(history_lines(records))
    (folder / "search.json").write_text(json.dumps(whole, allow_nan=False))
    return folder


def drawn_records(count, *, space=SPACE, epochs=6, seed=0):
    """Random trials whose loss is lowest where the learning rate is 0.01: some pruned, some diverged."""
    generator = random.Random(seed)
    records = []
    for number in range(1, count + 1):
        rate = round(10 ** generator.uniform(-4, 0), 8)
        chosen = {"optimizer.learning_rate": rate, "optimizer.rule": generator.choice(["sgd", "adam"])}
        if chosen["optimizer.rule"] == "sgd":
            chosen["optimizer.rule.momentum"] = round(generator.uniform(0, 0.99), 4)
        chosen["model.dropout"] = generator.choice(space["model.dropout"]["values"])
        chosen["training.batch_size"] = generator.randint(16, 256)
        chosen["data.train_limit"] = 512
        final = 1.0 + 0.4 * (math.log10(rate) + 2) ** 2 + generator.gauss(0, 0.05)
        values = [final + (2.5 - final) * 0.55**epoch for epoch in range(1, epochs + 1)]
        if rate > 0.5:
            rows = [values[0], float("nan")]
            records.append(record(number, chosen, rows, status="diverged", message="diverged: the loss became inf"))
        elif final > 1.7:
            records.append(record(number, chosen, values[:2], status="pruned", message="pruned after epoch 2"))
        else:
            records.append(record(number, chosen, values))
    return records
