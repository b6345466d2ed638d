"""What oneDNN saves on processors where TensorFlow leaves it off by itself (AVX2 and no more).

    python benchmarks/onednn.py [--rounds 3] [--quick]

One training step, float32, of three shipped recipes, and of the speed run's network out of stock Keras; each in
processes of its own with `TF_ENABLE_ONEDNN_OPTS=0` and `=1` in turn. About six minutes. On other processors there is
nothing to measure, and nothing is written.
"""

import sys

from two_environments import Contender, Step, compare, of_recipe

from kerastrain._core import onednn


def stock_step(batch: int) -> Step:
    """A step of the speed run's network of Keras's own layers."""
    import airbench_step

    return airbench_step.step(airbench_step.stock("float32"), batch)


CONTENDERS = {
    "mlp_functional": Contender(of_recipe("mlp_functional"), 128, 200),
    "convnet": Contender(of_recipe("convnet"), 128, 8),
    "residual": Contender(of_recipe("residual"), 128, 8),
    "cifar_speedrun": Contender(of_recipe("cifar_speedrun"), 128, 8),
    "the same network in stock Keras": Contender(stock_step, 128, 8),
}


def main() -> None:
    if not onednn.left_off() and "--quick" not in sys.argv:
        print("TensorFlow decides by itself here: nothing to measure.")
        return
    compare(__file__, __doc__, CONTENDERS, {"off": {onednn.VARIABLE: "0"}, "on": {onednn.VARIABLE: "1"}})


if __name__ == "__main__":
    main()
