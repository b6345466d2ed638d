"""What an optimizer step costs: AdamW, a global clip, no decay on biases, an exponential average.

    python benchmarks/optimizer_cost.py [--backends tensorflow jax torch] [--variables 14 200 1000] [--widths 64 8]
        [--quick]

About an hour; stop it and start it again as you like: a row that was measured at this commit is not measured again.

Side by side, the same work by Keras's built-ins (`global_clipnorm`, `exclude_from_weight_decay`, `use_ema`) and by a
`ComposedOptimizer`, variable by variable and fused. Half of the variables are kernels (width, width), half biases
(width,): at width 64 a thousand of them are 2.1 million numbers, and memory is what is waited for; at width 8 it is the
number of kernels. Measured are the optimizer's step alone, compiled as the backend compiles it (tf.function without
XLA, jax.jit, eager torch), and the trace: the first call, with what the backend compiles in it, in a fresh optimizer
each time. Each row is a process of its own, and its rounds are short and many: on a shared machine the time of a step
jumps by half from one second to the next.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

RESULTS = pathlib.Path(__file__).parent / "results" / "optimizer_cost.jsonl"
# By number of variables: steps in a round, and how many times a fresh optimizer is traced.
STEPS = {14: 50, 200: 10, 1000: 3}
TRACES = {14: 15, 200: 7}


def optimizers() -> dict[str, Any]:
    """Name -> function that makes an optimizer."""
    import keras

    from kerastrain.optimizers import (
        ClipByGlobalNorm,
        ComposedOptimizer,
        ExponentialAveraging,
        no_decay_on_bias_and_norm,
    )

    def built_in() -> keras.optimizers.Optimizer:
        optimizer = keras.optimizers.AdamW(
            1e-3, weight_decay=1e-2, global_clipnorm=1.0, use_ema=True, ema_momentum=0.99
        )
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        return optimizer

    def composed(fused: bool) -> keras.optimizers.Optimizer:
        return ComposedOptimizer(
            keras.optimizers.AdamW(1e-3, weight_decay=1e-2),
            [ClipByGlobalNorm(1.0)],
            [no_decay_on_bias_and_norm()],
            ExponentialAveraging(0.99, bias_correction=False),
            fused=fused,
        )

    return {"keras": built_in, "kerastrain": lambda: composed(False), "fused": lambda: composed(True)}


def stepper(make: Any, count: int, width: int) -> Any:
    """A compiled step of a fresh optimizer on fresh variables, and the variables."""
    import keras
    import numpy as np

    generator = np.random.default_rng(0)
    shapes = [(width, width) if place % 2 == 0 else (width,) for place in range(count)]
    variables = []
    for place, shape in enumerate(shapes):
        with keras.name_scope(f"layer_{place}"):  # Paths, as a model's variables have them.
            value = generator.normal(size=shape)
            name = "bias" if len(shape) == 1 else "kernel"
            variables.append(keras.Variable(value, dtype="float32", name=name))
    gradients = [keras.ops.convert_to_tensor(generator.normal(size=shape).astype(np.float32)) for shape in shapes]
    optimizer = make()
    optimizer.build(variables)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(lambda: optimizer.apply(gradients, variables))
        return lambda steps: [compiled() for _ in range(steps)], variables
    if backend == "torch":
        import torch

        def run(steps: int) -> None:
            with torch.no_grad():
                for _ in range(steps):
                    optimizer.apply(gradients, variables)

        return run, variables
    import jax

    state = [variable.value for variable in optimizer.variables], [variable.value for variable in variables]
    # Donated, as Keras's trainer does, so that the update is in place. The gradients are arguments: constants would be
    # folded.
    compiled = jax.jit(
        lambda slots, grads, values: optimizer.stateless_apply(slots, grads, values), donate_argnums=(0, 2)
    )

    def run_jax(steps: int) -> None:
        nonlocal state
        slots, values = state
        for _ in range(steps):
            values, slots = compiled(slots, gradients, values)
        jax.block_until_ready(values)
        state = slots, values
        for variable, value in zip(variables, values, strict=True):
            variable.assign(jax.numpy.copy(value))

    return run_jax, variables


def measure(count: int, width: int, rounds: int) -> dict[str, Any]:
    """The row of one number and width of variables on this process's backend."""
    import keras
    import numpy as np
    from suite import circumstances, interleaved, median_ratio

    load = circumstances()["load_average"]
    makers = optimizers()
    kept: dict[str, Any] = {}

    def trace(name: str) -> None:
        kept[name] = stepper(makers[name], count, width)
        start = time.perf_counter()
        kept[name][0](1)
        traces[name].append(time.perf_counter() - start)

    traces: dict[str, list[float]] = {name: [] for name in makers}
    for repeat in range(min(rounds, TRACES.get(count, 3))):
        for name in list(makers)[:: 1 if repeat % 2 == 0 else -1]:
            trace(name)
    steps = STEPS.get(count, max(3, 2_000 // count))
    timings = interleaved({name: lambda run=run: run(steps) for name, (run, _) in kept.items()}, rounds)
    values = [[np.array(keras.ops.convert_to_numpy(v)) for v in variables] for _, variables in kept.values()]
    difference = max(float(np.ptp(found, axis=0).max()) for found in map(np.array, zip(*values, strict=True)))
    traced = {name: statistics.median(seconds) for name, seconds in traces.items()}
    return {
        "backend": keras.backend.backend(),
        "variables": count,
        "width": width,
        "rounds": rounds,
        "steps_a_round": steps,
        "largest_difference_of_weights": difference,
        "step": {
            name: {
                "milliseconds": round(1000 * statistics.median(timing.wall) / steps, 4),
                "cpu_milliseconds": round(1000 * statistics.median(timing.cpu) / steps, 4),
                "fastest_milliseconds": round(1000 * min(timing.wall) / steps, 4),
            }
            for name, timing in timings.items()
        },
        "step_ratio": {name: median_ratio(timings[name], timings["keras"]) for name in ("kerastrain", "fused")},
        "trace_seconds": {name: round(seconds, 3) for name, seconds in traced.items()},
        "fastest_trace_seconds": {name: round(min(seconds), 3) for name, seconds in traces.items()},
        "trace_ratio": {name: round(traced[name] / traced["keras"], 3) for name in ("kerastrain", "fused")},
        **circumstances(),
        "command": "python benchmarks/optimizer_cost.py",
        "load_average": load,
    }


def done(commit: str) -> dict[tuple[str, int, int], dict[str, Any]]:
    """The rows of `commit`, by backend, number and width of variables."""
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.exists() else []
    return {(row["backend"], row["variables"], row["width"]): row for row in rows if row["commit"] == commit}


def in_a_process(backend: str, count: int, width: int, rounds: int) -> dict[str, Any]:
    """The row of one number and width of variables, measured in a process whose Keras runs on `backend`."""
    finished = subprocess.run(
        [sys.executable, __file__, "--one", *map(str, ("--rounds", rounds, "--variables", count, "--widths", width))],
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    row: dict[str, Any] = json.loads(next(line for line in finished.stdout.splitlines() if line.startswith("{")))
    return row


def main() -> None:
    from suite import commit

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax", "torch"])
    parser.add_argument("--variables", nargs="+", type=int, default=[14, 200, 1000])
    parser.add_argument("--widths", nargs="+", type=int, default=[64, 8])
    parser.add_argument("--rounds", type=int, default=61)
    parser.add_argument("--quick", action="store_true", help="14 variables, 2 rounds, nothing written: that it runs")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.variables[0], arguments.widths[0], arguments.rounds)), flush=True)
        return
    if arguments.quick:
        print(json.dumps([in_a_process(backend, 14, 8, 2) for backend in arguments.backends]))
        return
    rows = done(commit())
    for key in itertools.product(arguments.backends, arguments.variables, arguments.widths):
        if key not in rows:
            rows[key] = in_a_process(*key, arguments.rounds)
            RESULTS.write_text("".join(json.dumps(row) + "\n" for row in rows.values()), encoding="utf-8")
            print(json.dumps(rows[key]), flush=True)


if __name__ == "__main__":
    main()
