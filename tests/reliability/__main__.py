"""The promises of docs/checkpoints.md in full numbers: `python -m tests.reliability --full`.

One JSON line a case is appended to `reliability.jsonl`; what is there already, of the same code, is not done again, so
that an interrupted run goes on where it was. At the end `reliability.json` has the counts. With `KERAS_BACKEND=jax` or
`torch` it is that backend's trainings that are stopped, and the results are in `reliability_jax` and so on.
"""

import argparse
import collections
import datetime
import json
import pathlib
import sys
import tempfile
import time

import keras

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import store_cases  # noqa: E402
from children import Children  # noqa: E402
from record import ROOT, Record, git, identity_of_the_code  # noqa: E402
from training import FEATURES  # noqa: E402
from training_cases import TrainingCases  # noqa: E402

from kerastrain._core import machine  # noqa: E402

# How many of each: quick, full. Damaged files come in lots of 50, since one takes milliseconds.
WANTED = {
    "identical trainings": (2, len(FEATURES)),
    "random kills": (4, 200),
    "SIGTERM": (2, 25),
    "SIGINT": (2, 25),
    "kill in a save, store": (12, None),
    "error in a save, store": (24, None),
    "kill in a save, training": (2, None),
    "failing disk, fail": (2, 15),
    "failing disk, warn": (2, 15),
    "bit flips": (50, 1000),
    "truncations": (50, 500),
    "zero pages": (50, 200),
    "zero-byte files": (50, 50),
    "all damaged": (1, 20),
    "finished": (1, 10),
    "two processes": (1, 20),
}
LOT = 50
STOPS = 5
KIND = {"bit flips": "flip", "truncations": "truncation", "zero pages": "zero page", "zero-byte files": "zero bytes"}


def plan(cases, folder):
    """By case: how many there are when all are done, and a function of the seed that does one."""

    def of(result, count=1):
        problems = result.pop("problems")
        return result.pop("stops", count), problems, result

    def stopped(name):
        def one(seed):
            features = "everything" if seed % 2 == 0 else list(FEATURES)[seed // 2 % len(FEATURES)]
            return of(cases.stopped(seed, STOPS, name, features) | {"features": features})

        return one

    def lot(case):
        def one(seed):
            source = folder / "whole-everything" / "checkpoints"
            seeds = range(seed * LOT, (seed + 1) * LOT)
            rows = [(each, store_cases.detected(source, folder / "copy", KIND[case], each)) for each in seeds]
            problems = [f"{each}: {row}" for each, row in rows if not row["ok"]]
            return LOT, problems, {"files": dict(collections.Counter(row["file"] for _, row in rows))}

        return one

    cases.whole("everything")
    operations = len(store_cases.operations_of_a_save(folder / "count"))
    faults = store_cases.save_faults(operations)
    kills, failures = ([fault for fault in faults if fault[0] == kind] for kind in ("kill", "fail"))

    def in_the_store(chosen):
        def one(seed):
            kind, operation, how, count = chosen[seed]
            place = folder / f"store-{kind}-{seed}"
            if kind == "kill":
                result = store_cases.killed_in_a_save(place, operation, how)
            else:
                result = store_cases.failed_in_a_save(place, operation, how, count)
            problems = [] if result["ok"] else [str(result)]
            return 1, problems, {"operation": operation, "mode": how, "found": result["found"]}

        return one

    within = cases.operations_of_a_save()
    totals = {
        "kill in a save, store": len(kills),
        "error in a save, store": len(failures),
        "kill in a save, training": within,
    }
    work = {
        "identical trainings": lambda seed: of(cases.identical(list(FEATURES)[seed])),
        "random kills": stopped("SIGKILL"),
        "SIGTERM": stopped("SIGTERM"),
        "SIGINT": stopped("SIGINT"),
        "kill in a save, store": in_the_store(kills),
        "error in a save, store": in_the_store(failures),
        "kill in a save, training": lambda seed: of(cases.killed_in_a_save(seed + 1, "half" if seed % 2 else "kill")),
        "failing disk, fail": lambda seed: of(cases.failing_file_system(seed, "fail")),
        "failing disk, warn": lambda seed: of(cases.failing_file_system(seed, "warn")),
        **{case: lot(case) for case in KIND},
        "all damaged": lambda seed: of(cases.all_damaged(seed)),
        "finished": lambda seed: of(cases.finished()),
        "two processes": lambda seed: of(cases.two_processes(seed)),
    }
    return totals, work


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__.split("\n")[0])
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--full", action="store_true", help="all numbers, into benchmarks/results")
    group.add_argument("--quick", action="store_true", help="a few of each, into a temporary folder")
    parser.add_argument("--out", type=pathlib.Path, help="another folder for the results")
    arguments = parser.parse_args()
    default = ROOT / "benchmarks" / "results" if arguments.full else pathlib.Path(tempfile.mkdtemp())
    out = arguments.out or default
    out.mkdir(parents=True, exist_ok=True)
    backend = keras.backend.backend()
    name_of_results = "reliability" if backend == "tensorflow" else f"reliability_{backend}"
    record = Record(out / f"{name_of_results}.jsonl", identity_of_the_code())
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, Children() as children:
        totals, work = plan(TrainingCases(children, pathlib.Path(name)), pathlib.Path(name))
        # Of a quick run no more than there are of the full one.
        wanted = {case: totals.get(case, full) if arguments.full else quick for case, (quick, full) in WANTED.items()}
        for case, do in work.items():
            seed = 0
            while record.done(case) < wanted[case]:
                record.once(case, seed, lambda do=do, seed=seed: do(seed))
                seed += 1
                if seed > 10 * wanted[case] + 10:
                    raise SystemExit(f"{case}: no more of them come about")
                minutes = (time.monotonic() - started) / 60
                print(f"\r{case}: {record.done(case)} of {wanted[case]}, {minutes:.1f} min  ", end="", file=sys.stderr)
            print(file=sys.stderr)
    counts = {
        case: {
            "wanted": wanted[case],
            "done": record.done(case),
            "failed": sum(bool(row["problems"]) for (name, _), row in record.rows.items() if name == case),
        }
        for case in work
    }
    report = {
        "command": "python -m tests.reliability " + ("--full" if arguments.full else "--quick"),
        "backend": backend,
        "commit": git("rev-parse", "HEAD"),
        "code": record.code,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine.facts(),
        "versions": machine.versions(),
        "seconds": round(sum(row["seconds"] for row in record.rows.values())),
        "counts": counts,
    }
    (out / f"{name_of_results}.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(counts))
    print(out / f"{name_of_results}.json", file=sys.stderr)
    return 1 if any(row["failed"] for row in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
