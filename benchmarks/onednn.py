"""What oneDNN saves on processors where TensorFlow leaves it off by itself (AVX2 and no more).

    python benchmarks/onednn.py [--rounds 5] [--quick]

One training step, float32, of three shipped recipes, and of the speed run's network out of stock Keras; each in
processes of its own with `TF_ENABLE_ONEDNN_OPTS=0` and `=1` in turn, as it is read once, when TensorFlow is imported.
About ten minutes. On other processors there is nothing to measure, and nothing is written.
"""

import argparse
import json
import sys
import time

from suite import compared, processes_in_turn, write

from kerastrain._core import onednn

# Contender -> samples in a step, steps measured.
CONTENDERS = {"mlp_functional": (128, 200), "convnet": (128, 8), "residual": (128, 8), "cifar_speedrun": (128, 8)}
STOCK = "the same network in stock Keras"


def step(contender):
    """A function that makes one step."""
    import airbench_step
    import numpy as np

    from kerastrain import experiments

    if contender == STOCK:
        return airbench_step.step(airbench_step.stock("float32"), 128)
    recipe = experiments.load(contender, {"data.name": "synthetic", "training.precision": "float32"})
    model = experiments.build(recipe, experiments.prepare(recipe))
    generator, batch = np.random.default_rng(0), CONTENDERS[contender][0]
    x = generator.integers(0, 256, (batch, *model.input_shape[1:]), dtype=np.uint8)
    y = generator.integers(0, 10, batch)
    return lambda: model.train_on_batch(x, y)


def seconds_of_a_step(contender, quick):
    """Wall and CPU, in this process."""
    one = step(contender)
    one()
    steps = 1 if quick else CONTENDERS.get(contender, (128, 8))[1]
    one()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        one()
    return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the MLP alone, one step, nothing written: that it runs")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(seconds_of_a_step(arguments.contender, arguments.quick)))
        return
    if not onednn.left_off() and not arguments.quick:
        print("TensorFlow decides by itself here: nothing to measure.")
        return
    rows = []
    for contender in ["mlp_functional"] if arguments.quick else [*CONTENDERS, STOCK]:
        command = [sys.executable, __file__, "--contender", contender, *["--quick"] * arguments.quick]
        ways = {"off": {onednn.VARIABLE: "0"}, "on": {onednn.VARIABLE: "1"}}
        found = processes_in_turn(command, ways, 1 if arguments.quick else arguments.rounds)
        rows.append({"contender": contender, **compared(found)})
        print(json.dumps(rows[-1]), flush=True)
    if not arguments.quick:
        write("onednn", rows)


if __name__ == "__main__":
    main()
