"""What saving at the end of each epoch costs: ResNet-20 by its recipe, with and without `ResumableCheckpoint`.

    python benchmarks/checkpoint_cost.py [--images 5000] [--repeats 5] [--quick]

An epoch here has 5,000 images, a ninth of the real one's 45,000, so the share of the run's time is an upper bound.
"""

import argparse
import pathlib
import tempfile
import time
from typing import Any

from suite import interleaved, median_ratio, write

from kerastrain import experiments
from kerastrain.callbacks import ResumableCheckpoint
from kerastrain.datasets import Batches


class Timed(ResumableCheckpoint):
    """Adds up the seconds that saving takes."""

    seconds = 0.0

    def _save(self, *arguments: Any, **options: Any) -> None:
        start = time.perf_counter()
        super()._save(*arguments, **options)
        self.seconds += time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one repeat, nothing written: that it runs")
    arguments = parser.parse_args()
    images, repeats = (256, 1) if arguments.quick else (arguments.images, arguments.repeats)
    changes = {"data.name": "synthetic", "data.train_limit": images, "data.validation": 500}
    recipe = experiments.load("residual", {**changes, "training.epochs": 1})
    data = experiments.prepare(recipe)
    model = experiments.build(recipe, data)
    saved: list[float] = []

    def train(checkpoint: bool) -> None:
        batches = Batches(*data.train, recipe.training.batch_size, seed=0, crop=4, flip="alternating")
        with tempfile.TemporaryDirectory() as folder:
            callbacks: list[Any] = []
            if checkpoint:
                callbacks = [Timed(pathlib.Path(folder), batches, announce=lambda line: None)]
            model.fit(batches, epochs=1, validation_data=data.validation, shuffle=False, verbose=0, callbacks=callbacks)
            if checkpoint:
                # At the end of `fit` it saves once more; a run has that once, not each epoch.
                saved.append(callbacks[0].seconds)

    timings = interleaved({"plain": lambda: train(False), "saving": lambda: train(True)}, repeats)
    whole = timings["saving"]
    shares = sorted(seconds / wall for seconds, wall in zip(saved[1:], whole.wall, strict=True))
    rows = [
        {
            "recipe": "residual",
            "parameters": model.count_params(),
            "images_in_an_epoch": images,
            "contenders": {name: timing.facts(images, "images") for name, timing in timings.items()},
            "saving_relative_to_plain": median_ratio(whole, timings["plain"]),
            "share_of_the_time_spent_saving": round(shares[len(shares) // 2], 5),
            "milliseconds_of_each_save": round(1000 * sorted(saved)[len(saved) // 2] / 2, 1),
        }
    ]
    print(rows if arguments.quick else write("checkpoint_cost", rows))


if __name__ == "__main__":
    main()
