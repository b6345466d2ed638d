"""Contenders side by side: A B B A, medians, wall and CPU seconds, with the facts of the machine."""

import dataclasses
import datetime
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from kerastrain._core import atomic_files, machine, onednn

# glibc's settings under which a process keeps the memory that it frees; PyTorch is faster so (`freed_memory.py`).
KEEP_FREED_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
# Of the environment: what changes how fast TensorFlow is.
ENVIRONMENT = (onednn.VARIABLE, "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "XLA_FLAGS")
RESULTS = pathlib.Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of each repeat of one contender."""

    wall: list[float]
    cpu: list[float]

    def facts(self, work: float, unit: str) -> dict[str, Any]:
        """Medians, and the work done a second."""
        wall = statistics.median(self.wall)
        return {
            "wall_seconds": round(wall, 4),
            "cpu_seconds": round(statistics.median(self.cpu), 4),
            "wall_seconds_of_each": [round(value, 3) for value in self.wall],
            "cpu_seconds_of_each": [round(value, 3) for value in self.cpu],
            f"{unit}_per_second": round(work / wall, 1),
        }


def interleaved(contenders: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Timing]:
    """Run each contender once unmeasured, then all of them in turn, `repeats` times over, there and back: what comes
    first in a round finds the caches as the last one left them."""
    for contender in contenders.values():
        contender()
    timings = {name: Timing([], []) for name in contenders}
    for repeat in range(repeats):
        for name, contender in list(contenders.items())[:: 1 if repeat % 2 == 0 else -1]:
            wall, cpu = time.perf_counter(), time.process_time()
            contender()
            timings[name].wall.append(time.perf_counter() - wall)
            timings[name].cpu.append(time.process_time() - cpu)
    return timings


def median_ratio(slower: Timing, faster: Timing) -> float:
    """How many times longer `slower` takes: the median over the rounds, whose runs were next to each other."""
    return round(statistics.median(a / b for a, b in zip(slower.wall, faster.wall, strict=True)), 3)


def best_precision() -> str:
    """What a network trains fastest in on this processor: bfloat16 where it has instructions for it, else float32."""
    return "bfloat16" if machine.cpu_flags().intersection(machine.BFLOAT16_FLAGS) else "float32"


def commit() -> str:
    """The commit of the working tree."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def stolen_seconds() -> float:
    """CPU seconds, of all cores, that the host has kept from this virtual machine; 0 where none are told."""
    path = pathlib.Path("/proc/stat")
    return int(path.read_text().split()[8]) / os.sysconf("SC_CLK_TCK") if path.exists() else 0.0


def measured(command: list[str], environment: Mapping[str, str] | None = None) -> tuple[str, dict[str, float]]:
    """What a process prints, and its wall seconds, CPU seconds, what the host held back, and peak memory.

    `environment` is added to this process's.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    begin, stolen = time.perf_counter(), stolen_seconds()
    process = subprocess.Popen(command, env=os.environ | (environment or {}), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, printed)
    return printed, {
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "stolen_seconds": round(stolen_seconds() - stolen, 1),
        "peak_memory_mib": round(usage.ru_maxrss / 1024),
    }


def peak_memory_mib() -> int:
    """The most memory that this process, or one that it waited for, has had at once."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return round(max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024)


def circumstances() -> dict[str, Any]:
    """Everything that a measurement depends on."""
    return {
        "command": f"python {' '.join(sys.argv)}",
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "machine": machine.facts(),
        "versions": machine.versions(),
        "load_average": round(os.getloadavg()[0], 2),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    }


def write(name: str, rows: list[dict[str, Any]]) -> pathlib.Path:
    """Write `results/NAME.json`: the rows, the command and everything they depend on."""
    report = {**circumstances(), "peak_memory_mib": peak_memory_mib(), "rows": rows}
    path = RESULTS / f"{name}.json"
    atomic_files.write_json(path, report)
    print(json.dumps(rows, indent=2))
    return path
