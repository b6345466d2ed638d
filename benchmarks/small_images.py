"""What the filter gradient of `layers.SmallImageConv2D` saves, on a processor where it is taken and on others.

    python benchmarks/small_images.py [--rounds 11] [--quick]

One training step of 512 images of the speed run's network, of its own width and of half of it, in the precision that
the processor is best at, with oneDNN: with TensorFlow's kernel for the gradient of the filters, and with a convolution
in its place wherever images have up to 64 pixels, which is what the layer does on the processors that this was faster
on. Images of 32x32 and of the sizes that they have in the first epochs.
"""

import argparse
from collections.abc import Callable

from suite import best_precision, interleaved, median_ratio, write

from kerastrain._core import onednn

WIDTHS = {"64, 256, 256": [64, 256, 256], "32, 128, 128": [32, 128, 128]}
SIZES = (32, 24, 20, 16)


def steps(widths: list[int], precision: str, size: int, batch: int) -> dict[str, Callable[[], object]]:
    """A function for each way that makes one step."""
    import numpy as np

    from kerastrain import experiments
    from kerastrain._core import small_convolution

    recipe = experiments.load(
        "cifar_speedrun_muon",
        {"data.name": "synthetic", "training.precision": precision, "model.widths": widths},
    )
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, (batch, size, size, 3), dtype=np.uint8), generator.integers(0, 10, batch)

    def contender(exchanged: bool) -> Callable[[], object]:
        model = experiments.build(recipe, experiments.prepare(recipe))

        def step() -> object:
            # Asked when a step is traced.
            small_convolution._is_measured = lambda dtype: exchanged
            return model.train_on_batch(x, y)

        return step

    return {"TensorFlow's kernel": contender(False), "as a convolution": contender(True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--quick", action="store_true", help="16 images, one round, nothing written: that it runs")
    arguments = parser.parse_args()
    onednn.switch_on()  # Before TensorFlow is imported.
    batch, rounds = (16, 1) if arguments.quick else (512, arguments.rounds)
    rows = []
    for name, widths in list(WIDTHS.items())[-1 if arguments.quick else 0 :]:
        for size in SIZES[-1 if arguments.quick else 0 :]:
            timings = interleaved(steps(widths, best_precision(), size, batch), rounds)
            native, convolution = timings.values()
            rows.append(
                {
                    "widths": name,
                    "image": f"{size}x{size}",
                    "precision": best_precision(),
                    "batch": batch,
                    "of_tensorflows": median_ratio(convolution, native),
                    **{way: timing.facts(1, "steps") for way, timing in timings.items()},
                }
            )
    if not arguments.quick:
        write("small_images", rows)


if __name__ == "__main__":
    main()
