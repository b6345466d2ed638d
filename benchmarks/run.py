"""Every side-by-side measurement, one after the other, with nothing else running on the machine.

    python benchmarks/run.py [NAME ...] [--quick]

Each is a script of its own beside this one and writes `results/NAME.json`; `summary.py` makes the tables of it. Without
a name all of them, in about three hours; `--quick` (less than five minutes) shows that they run, two at a time since
its times are worth nothing, and writes nothing.
Long trainings have commands of their own: `speedrun.py`, `kill_run.py`, `evidence.py`, `shipped_searches.py`.
"""

import argparse
import concurrent.futures
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
# In order of how long they take. Of a quick run, what makes it shorter still.
QUICK: dict[str, list[str]] = {
    "augmentation": [],
    "startup": [],
    "checkpoint_cost": [],
    "onednn": [],
    "freed_memory": [],
    "airbench_step": [],
    "small_images": [],
    "fit_overhead": ["--backends", "tensorflow"],
    "search_pruning": [],
    "growth": [],
    "search_speed": [],
    "optimizer_cost": ["--backends", "tensorflow"],
}


def run(name: str, quick: bool) -> bool:
    """Whether the measurement came to its end."""
    begin = time.perf_counter()
    options = ["--quick", *QUICK[name]] if quick else []
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), *options], check=False, capture_output=quick, text=True
    )
    print(f"{name}: exit code {done.returncode}, {time.perf_counter() - begin:.0f} s", flush=True)
    if done.returncode:
        print(done.stderr or "", file=sys.stderr)
    return not done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(QUICK))
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(QUICK))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(QUICK)}")
    # What is measured has the machine to itself.
    with concurrent.futures.ThreadPoolExecutor(2 if arguments.quick else 1) as pool:
        ended = list(pool.map(lambda name: run(name, arguments.quick), arguments.names or QUICK))
    if all(ended) and not arguments.quick:
        subprocess.run([sys.executable, str(HERE / "summary.py")], check=True)
    return 0 if all(ended) else 1


if __name__ == "__main__":
    sys.exit(main())
