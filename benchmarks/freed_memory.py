"""What PyTorch gains on a processor where the process keeps the memory that it frees.

    python benchmarks/freed_memory.py [--rounds 3] [--quick]

One training step, float32, of shipped recipes on the torch backend, and of the speed run's PyTorch peer, channels last;
each in processes of its own in turn: as glibc does by itself, and as `fast_compile` and recipes have it on torch. Both
are set from outside, which `kerastrain` leaves as it is. About a quarter of an hour. Where PyTorch is not installed
there is nothing to measure, and nothing is written.
"""

import importlib.util
import os

from suite import KEEP_FREED_MEMORY
from two_environments import Contender, Step, compare, of_recipe


def peer_step(batch: int) -> Step:
    """A step of the peer."""
    import airbench_peer
    import torch

    network = airbench_peer.Network().to(memory_format=torch.channels_last)
    x = torch.rand(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (batch,))
    network.adapt(x[:500])
    loss = torch.nn.CrossEntropyLoss(label_smoothing=airbench_peer.SMOOTHING)
    trained = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=airbench_peer.MOMENTUM, nesterov=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(network(x), y).backward()
        optimizer.step()

    return step


CONTENDERS = {
    "mlp_functional": Contender(of_recipe("mlp_functional"), 128, 200),
    "convnet": Contender(of_recipe("convnet"), 128, 6),
    "residual": Contender(of_recipe("residual"), 128, 6),
    "cifar_speedrun_muon": Contender(of_recipe("cifar_speedrun_muon"), 512, 4),
    "airbench94 in PyTorch": Contender(peer_step, 1024, 4),
}
# The first says glibc's default, so that what is set by somebody is left alone.
WAYS = {"given back": {"GLIBC_TUNABLES": "glibc.malloc.perturb=0"}, "kept": KEEP_FREED_MEMORY}


def main() -> None:
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: nothing to measure.")
        return
    os.environ["KERAS_BACKEND"] = "torch"
    compare(__file__, __doc__, CONTENDERS, WAYS)


if __name__ == "__main__":
    main()
