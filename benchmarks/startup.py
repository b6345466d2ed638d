"""What kerastrain costs before it does anything: import beside Keras's, `--help`, and the memory of the images.

    python benchmarks/startup.py [--repeats 7] [--quick]

Every start is a process of its own. Memory is the growth of a process that holds 50,000 images of 32x32x3 and has taken
an epoch's batches: out of uint8 by `datasets.Batches`, and out of float32 as the course's script has them.
"""

import argparse
import pathlib
import subprocess
import sys
from collections.abc import Callable

from suite import interleaved, median_ratio, write

# None for the command itself.
STARTS: dict[str, str | None] = {
    "import keras": "import keras",
    "import kerastrain": "import kerastrain",
    "import keras, and parts of kerastrain": "import keras; from kerastrain import callbacks, layers, optimizers",
    "kerastrain --help": None,
}
HELD = """
import resource, numpy as np
from kerastrain.datasets import Batches
def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
generator = np.random.default_rng(0)
before = held()
images = generator.integers(0, 256, ({count}, 32, 32, 3), dtype=np.uint8)
{make}
for index in range(len(batches)):
    batches[index]
print(held() - before)
"""
MAKE = {
    "uint8 by Batches": "batches = Batches(images, np.zeros(len(images)), 128, seed=0, crop=4, flip='random')",
    "float32 arrays": "images = images.astype(np.float32) / 255\n"
    "batches = [images[place : place + 128] for place in range(0, len(images), 128)]",
}


def process(code: str | None) -> str:
    command = [str(pathlib.Path(sys.executable).with_name("kerastrain")), "--help"]
    command = command if code is None else [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode()


def start(code: str | None) -> Callable[[], object]:
    return lambda: process(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one repeat, few images, nothing written: that it runs")
    arguments = parser.parse_args()
    repeats, count = (1, 1000) if arguments.quick else (arguments.repeats, 50_000)
    timings = interleaved({name: start(code) for name, code in STARTS.items()}, repeats)
    rows = [
        {
            "contender": name,
            **{key: value for key, value in timing.facts(1, "starts").items() if "cpu" not in key},
            "of_import_keras": median_ratio(timing, timings["import keras"]),
        }
        for name, timing in timings.items()
    ]
    memory = {name: int(process(HELD.format(count=count, make=make))) for name, make in MAKE.items()}
    for name, bytes_held in memory.items():
        share = round(bytes_held / memory["float32 arrays"], 3)
        rows.append({"contender": name, "megabytes": round(bytes_held / 2**20, 1), "of_float32": share})
    print(rows if arguments.quick else write("startup", rows))


if __name__ == "__main__":
    main()
