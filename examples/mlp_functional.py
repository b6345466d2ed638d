"""The same network by the Functional API, and the proof that it is the same: equal weights, equal outputs.

python examples/mlp_functional.py [--data cifar10|synthetic|PATH] [--smoke]
"""

import json

import numpy as np

from kerastrain import experiments, topologies


def largest_difference() -> float:
    """Between the outputs of the two networks on random inputs, once the one has the other's weights."""
    functional, sequential = topologies.mlp_functional(seed=0), topologies.mlp_sequential(seed=1)
    sequential.set_weights(functional.get_weights())
    images = np.random.default_rng(0).random((64, 32, 32, 3), np.float32)
    return float(np.abs(functional.predict(images, verbose=0) - sequential.predict(images, verbose=0)).max())


if __name__ == "__main__":
    _, result = experiments.run_script("mlp_functional", __doc__)
    print(json.dumps({**result, "largest_difference_to_sequential": largest_difference()}))
