"""What an optimizer step costs: AdamW, a global clip, no decay on biases, an exponential average.

    python benchmarks/optimizer_cost.py [--backends tensorflow jax torch] [--variables 14 200 1000] [--quick]

Side by side, the same work by Keras's built-ins (`global_clipnorm`, `exclude_from_weight_decay`, `use_ema`) and by a
`ComposedOptimizer`. Half of the variables are kernels (64, 64), half biases (64,). Measured are the optimizer's step
alone, compiled as the backend compiles it (tf.function without XLA, jax.jit, eager torch), and the trace: the first
call, with what the backend compiles in it, in a fresh optimizer each time. Each backend is a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

STEPS = {14: 200, 200: 40, 1000: 10}


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

    def composed() -> keras.optimizers.Optimizer:
        return ComposedOptimizer(
            keras.optimizers.AdamW(1e-3, weight_decay=1e-2),
            [ClipByGlobalNorm(1.0)],
            [no_decay_on_bias_and_norm()],
            ExponentialAveraging(0.99, bias_correction=False),
        )

    return {"keras": built_in, "kerastrain": composed}


def stepper(make: Any, count: int) -> Any:
    """A compiled step of a fresh optimizer on fresh variables, and the variables."""
    import keras
    import numpy as np

    generator = np.random.default_rng(0)
    shapes = [(64, 64) if place % 2 == 0 else (64,) for place in range(count)]
    variables = [
        keras.Variable(generator.normal(size=shape), dtype="float32", name="bias" if len(shape) == 1 else "kernel")
        for shape in shapes
    ]
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


def measure(count: int, repeats: int) -> dict[str, Any]:
    """The row of one number of variables on this process's backend."""
    import keras
    import numpy as np
    from suite import interleaved, median_ratio

    makers = optimizers()
    traces: dict[str, list[float]] = {name: [] for name in makers}
    kept = {}
    for _ in range(3 if keras.backend.backend() != "torch" else 1):
        for name, make in makers.items():
            run, variables = stepper(make, count)
            start = time.perf_counter()
            run(1)
            traces[name].append(time.perf_counter() - start)
            kept[name] = run, variables
    steps = STEPS.get(count, max(5, 10_000 // count))
    timings = interleaved({name: lambda run=run: run(steps) for name, (run, _) in kept.items()}, repeats)
    values = [[np.array(keras.ops.convert_to_numpy(v)) for v in variables] for _, variables in kept.values()]
    difference = max(float(np.abs(a - b).max()) for a, b in zip(*values, strict=True))
    return {
        "backend": keras.backend.backend(),
        "variables": count,
        "largest_difference_of_weights": difference,
        "step": {
            name: {
                "milliseconds": round(1000 * sorted(timing.wall)[len(timing.wall) // 2] / steps, 4),
                "cpu_milliseconds": round(1000 * sorted(timing.cpu)[len(timing.cpu) // 2] / steps, 4),
                "fastest_milliseconds": round(1000 * min(timing.wall) / steps, 4),
            }
            for name, timing in timings.items()
        },
        "step_ratio": median_ratio(timings["kerastrain"], timings["keras"]),
        "trace_seconds": {name: round(sorted(values)[len(values) // 2], 3) for name, values in traces.items()},
        "trace_ratio": round(
            sorted(traces["kerastrain"])[len(traces["kerastrain"]) // 2]
            / sorted(traces["keras"])[len(traces["keras"]) // 2],
            3,
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax", "torch"])
    parser.add_argument("--variables", nargs="+", type=int, default=[14, 200, 1000])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="14 variables, 2 repeats: that it runs")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.variables, arguments.repeats = [14], 2
    if arguments.one:
        for count in arguments.variables:
            print(json.dumps(measure(count, arguments.repeats)), flush=True)
        return
    rows = []
    for backend in arguments.backends:
        command = [sys.executable, __file__, "--one", "--repeats", str(arguments.repeats), "--variables"]
        done = subprocess.run(
            [*command, *map(str, arguments.variables)],
            env={**os.environ, "KERAS_BACKEND": backend},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        rows += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        print(done.stdout, file=sys.stderr)
    if arguments.quick:
        print(json.dumps(rows))
        return
    from suite import write

    print(write("optimizer_cost", rows))


if __name__ == "__main__":
    main()
