"""How cost grows: with depth, width, batch size, data, number of variables and number of trials, each with its slope.

    python benchmarks/growth.py [--only depth width ...] [--repeats 5] [--quick]

Every point is measured in one process, all points of a factor in turn, there and back; the medians are in
`results/growth.json`, with the slope of log(seconds) over log(factor): 1 is proportional, 0 is no growth. Depth, width
and batch are of one training step; data is of an epoch, and of drawing its order and augmentation; variables are of an
optimizer's step (`ComposedOptimizer` with AdamW, clipping and an average); trials are of a whole search. The first
call is the trace.
"""

import argparse
import collections
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from optimizer_cost import optimizers, stepper
from search_speed import quiet, written
from suite import interleaved, write

from kerastrain import datasets, topologies, tuning

# By factor: its values, and those of a quick run.
VALUES = {
    "depth": ((20, 32, 56, 110), (8, 14)),
    "width": ((8, 16, 32, 64), (4, 8)),
    "batch": ((32, 128, 512, 2048), (8, 16)),
    "data": ((10_000, 20_000, 40_000, 80_000), (1_000, 2_000)),
    "variables": ((14, 60, 200, 1000), (14, 30)),
    "trials": ((4, 8, 16, 32), (1, 2)),
}
STEPS = 5
Points = Iterator[tuple[str, Callable[[], object]]]


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), generator.integers(0, 10, count)


def step_of(model: keras.Model, batch: int) -> Callable[[], object]:
    """Training steps of a model on one batch, as `train_on_batch` compiles it."""
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = images(batch)
    return lambda: [model.train_on_batch(x, y) for _ in range(STEPS)]


def depth(value: int) -> Points:
    yield f"seconds of {STEPS} steps", step_of(topologies.residual(depth=value, seed=0), 16)


def width(value: int) -> Points:
    model = topologies.residual(depth=20, width=value, seed=0)
    yield f"seconds of {STEPS} steps", step_of(model, 32)


def batch(value: int) -> Points:
    yield f"seconds of {STEPS} steps", step_of(topologies.convnet(widths=(8, 16), seed=0), value)


def data(value: int) -> Points:
    batches = datasets.Batches(*images(value), 512, seed=0, crop=2, flip="random")
    epochs = iter(range(1, 1_000_000))
    model = topologies.mlp_sequential(layers=[16], preprocessing=[keras.layers.Rescaling(1 / 255)], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    yield "seconds an epoch", lambda: model.fit(batches, shuffle=False, verbose=0)
    yield "seconds to draw an epoch", lambda: batches.start(next(epochs))


def variables(value: int) -> Points:
    run, _ = stepper(optimizers()["fused"], value, 16)
    yield f"seconds of {STEPS} steps", lambda: run(STEPS)


def trials(value: int) -> Points:
    def search() -> None:
        with tempfile.TemporaryDirectory() as folder, quiet():
            path = written(pathlib.Path(folder), value, False, epochs=1)
            tuning.search(path, out=pathlib.Path(folder) / "out")

    yield "seconds a search", search


FACTORS: dict[str, Callable[[int], Points]] = {
    "depth": depth,
    "width": width,
    "batch": batch,
    "data": data,
    "variables": variables,
    "trials": trials,
}


def slope(values: list[int], seconds: list[float]) -> float:
    """Of a line through the logarithms."""
    return round(float(np.polyfit(np.log(values), np.log(seconds), 1)[0]), 2)


def measured(factor: str, values: tuple[int, ...], repeats: int) -> list[dict[str, Any]]:
    """A row for each thing that is measured of a factor."""
    contenders: dict[tuple[str, int], Callable[[], object]] = {}
    first: dict[int, float] = {}
    for value in values:
        for what, act in FACTORS[factor](value):
            begin = time.perf_counter()
            act()
            first.setdefault(value, time.perf_counter() - begin)
            contenders[what, value] = act
    timings = interleaved({f"{what} {value}": act for (what, value), act in contenders.items()}, repeats)
    found: dict[str, list[float]] = collections.defaultdict(list)
    processor: dict[str, list[float]] = collections.defaultdict(list)
    for what, value in contenders:
        timing = timings[f"{what} {value}"]
        found[what].append(round(statistics.median(timing.wall), 6))
        processor[what].append(round(statistics.median(timing.cpu), 6))
    rows = [
        {
            "factor": factor,
            "of": what,
            "values": list(values),
            "wall_seconds": seconds,
            "cpu_seconds": processor[what],
            "slope": slope(list(values), seconds),
        }
        for what, seconds in found.items()
    ]
    if factor != "trials":  # The first call is the trace, and whatever the backend compiles in it.
        seconds = [round(first[value], 3) for value in values]
        kind = {"factor": factor, "of": "seconds of the first", "values": list(values)}
        rows.append({**kind, "wall_seconds": seconds, "slope": slope(list(values), seconds)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=FACTORS, default=list(FACTORS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two small values of each, nothing written: that it runs")
    arguments = parser.parse_args()
    rows = []
    for factor in arguments.only:
        whole, quick = VALUES[factor]
        rows += measured(factor, quick if arguments.quick else whole, 1 if arguments.quick else arguments.repeats)
        for row in rows[-3:]:
            if row["factor"] == factor:
                print(json.dumps(row))
    if not arguments.quick:
        print(write("growth", rows))


if __name__ == "__main__":
    main()
