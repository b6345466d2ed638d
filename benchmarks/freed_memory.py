"""What PyTorch gains on a processor where the process keeps the memory that it frees.

    python benchmarks/freed_memory.py [--rounds 3] [--quick]

One training step, float32, of shipped recipes on the torch backend, and of the speed run's PyTorch peer, channels last;
each in processes of its own in turn: as glibc does by itself, and as `fast_compile` and recipes have it on torch. Both
are set from outside, which `kerastrain` leaves as it is. About a quarter of an hour.
"""

import argparse
import importlib.util
import json
import os
import sys
import time

from suite import KEEP_FREED_MEMORY, compared, processes_in_turn, write

WAYS = {
    "given back": {"GLIBC_TUNABLES": "glibc.malloc.perturb=0"},  # As it is by itself.
    "kept": KEEP_FREED_MEMORY,
}
PEER = "airbench94 in PyTorch"
# Contender -> samples in a step, steps measured.
CONTENDERS = {
    "mlp_functional": (128, 200),
    "convnet": (128, 6),
    "residual": (128, 6),
    "cifar_speedrun_muon": (512, 4),
    PEER: (1024, 4),
}


def peer_step(batch):
    """A function that makes one step of the peer."""
    import airbench_peer
    import torch

    network = airbench_peer.Network().to(memory_format=torch.channels_last)
    x = torch.rand(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (batch,))
    network.adapt(x[:500])
    loss = torch.nn.CrossEntropyLoss(label_smoothing=airbench_peer.SMOOTHING)
    trained = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=airbench_peer.MOMENTUM, nesterov=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(network(x), y).backward()
        optimizer.step()

    return step


def keras_step(recipe, batch):
    """A function that makes one step of a recipe."""
    import numpy as np

    from kerastrain import experiments

    recipe = experiments.load(recipe, {"data.name": "synthetic", "training.precision": "float32"})
    model = experiments.build(recipe, experiments.prepare(recipe))
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (batch, *model.input_shape[1:]), dtype=np.uint8)
    y = generator.integers(0, 10, batch)
    return lambda: model.train_on_batch(x, y)


def seconds_of_a_step(contender, quick):
    """Wall and CPU, in this process."""
    batch, steps = CONTENDERS[contender]
    step = peer_step(batch) if contender == PEER else keras_step(contender, batch)
    steps = 1 if quick else steps
    step()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the MLP alone, one step, nothing written: that it runs")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(seconds_of_a_step(arguments.contender, arguments.quick)))
        return
    if importlib.util.find_spec("torch") is None:
        if not arguments.quick:
            parser.error("PyTorch is what is measured, and it is not installed: pip install torch")
        print("PyTorch is not installed: nothing to run.")
        return
    os.environ["KERAS_BACKEND"] = "torch"
    rows = []
    for contender in ["mlp_functional"] if arguments.quick else CONTENDERS:
        command = [sys.executable, __file__, "--contender", contender, *["--quick"] * arguments.quick]
        found = processes_in_turn(command, WAYS, 1 if arguments.quick else arguments.rounds)
        rows.append({"contender": contender, "batch": CONTENDERS[contender][0], **compared(found)})
        print(json.dumps(rows[-1]), flush=True)
    if not arguments.quick:
        write("freed_memory", rows)


if __name__ == "__main__":
    main()
