"""A training step in each of two environments, by processes in turn: what is compared is read once, at their start."""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from suite import write

Step = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Contender:
    """What makes a step on so many samples, and how many steps are measured."""

    step_on: Callable[[int], Step]
    batch: int
    steps: int


def of_recipe(name: str) -> Callable[[int], Step]:
    """Makes a step of a shipped recipe in float32, on random images."""

    def step_on(batch: int) -> Step:
        import numpy as np

        from kerastrain import experiments

        recipe = experiments.load(name, {"data.name": "synthetic", "training.precision": "float32"})
        model = experiments.build(recipe, experiments.prepare(recipe))
        generator = np.random.default_rng(0)
        x = generator.integers(0, 256, (batch, *model.input_shape[1:]), dtype=np.uint8)
        y = generator.integers(0, 10, batch)
        return lambda: model.train_on_batch(x, y)

    return step_on


def compare(
    script: str, about: str | None, contenders: Mapping[str, Contender], ways: Mapping[str, Mapping[str, str]]
) -> None:
    """The command line of `script`: write `results/NAME.json`, how many times as fast each contender is by the second
    way as by the first.

    Args:
        script: its path, after which the results are named.
        about: its docstring.
        contenders: the first alone is what a quick run needs.
        ways: two names, and what each adds to the environment.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one contender and step, nothing written: that it runs")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(_seconds_of_a_step(contenders[arguments.contender], arguments.quick)))
        return
    rows = []
    for name in list(contenders)[: 1 if arguments.quick else None]:
        command = [sys.executable, script, "--contender", name, *["--quick"] * arguments.quick]
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for turn in range(1 if arguments.quick else arguments.rounds):
            for way in list(ways)[:: 1 if turn % 2 == 0 else -1]:
                environment = os.environ | ways[way]
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
        rows.append({"contender": name, "batch": contenders[name].batch, **_compared(found)})
        print(json.dumps(rows[-1]), flush=True)
    if not arguments.quick:
        write(os.path.basename(script).removesuffix(".py"), rows)


def _seconds_of_a_step(contender: Contender, quick: bool) -> tuple[float, float]:
    """Wall and CPU, in this process."""
    one = contender.step_on(contender.batch)
    steps = 1 if quick else contender.steps
    one()
    one()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        one()
    return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps


def _compared(found: Mapping[str, list[tuple[float, float]]]) -> dict[str, Any]:
    slow, fast = found.values()
    by_rounds = [a[0] / b[0] for a, b in zip(slow, fast, strict=True)]
    return {
        "milliseconds": {way: round(1e3 * statistics.median(wall for wall, _ in found[way]), 2) for way in found},
        "cpu_milliseconds": {way: round(1e3 * statistics.median(cpu for _, cpu in found[way]), 2) for way in found},
        "times_as_fast": round(statistics.median(by_rounds), 2),
        "times_as_fast_by_round": [round(ratio, 2) for ratio in by_rounds],
    }
