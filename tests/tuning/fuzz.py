"""Broken search files by the thousand: `python -m tests.tuning.fuzz --count 2000`.

Each is a shipped search after slips: of the editor (text) or of thought (types, typos, missing keys, wild values).
It is checked as `kerastrain search --check` checks it. An answer is a plan, or an InputError whose every line names the
file, with a line where there is one; anything else is a traceback for a user.
"""

import argparse
import collections
import contextlib
import copy
import datetime
import io
import json
import pathlib
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE.parents[1])]

from mutations import mutated_data, mutated_text, places  # noqa: E402

from kerastrain import tuning  # noqa: E402
from kerastrain._core import yaml_document  # noqa: E402
from kerastrain._core.errors import InputError  # noqa: E402

SHIPPED = sorted((ROOT / "tuner_configs").glob("*.yaml"))
# Problems of a file as a whole, which have no line: it is empty, no text, or nested too deep.
WITHOUT_LINE = ("expected a mapping", "expected UTF-8", "nested deeper", "not valid YAML", "is a recipe", "values once")


# What the shipped files may lack, for any of them and for random searches of the MLP.
EXTRAS = {
    "pruner": {"type": "divergence", "threshold": 3.0},
    "budget": {"epochs": 3, "wall_clock": "10m", "total_epochs": 50},
}
MLP_EXTRAS = {
    **EXTRAS,
    "repeats": 2,
    "space.model.dropout": {"type": "choice", "values": [None, 0.2], "when": {"training.batch_size": [32, 64]}},
    "space.depth": {"type": "int", "min": 1, "max": 2},
    "space.model.layers[i].units": {"type": "choice", "values": [8, 16], "repeat": "depth"},
}


def with_extra(data: dict, section: str) -> dict:
    """`data` with one of `EXTRAS`."""
    key, _, inner = section.partition(".")
    value = copy.deepcopy(MLP_EXTRAS[section])
    return {**data, key: {**data.get(key, {}), inner: value} if inner else value}


def slip(generator: random.Random, data: dict) -> dict:
    """One small slip: a number of another size or sign, two letters of a name exchanged, a key that is gone."""
    data = copy.deepcopy(data)
    place = generator.choice(list(places(data)))
    parent = data
    for part in place[:-1]:
        parent = parent[part]
    key, value = place[-1], parent[place[-1]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        parent[key] = generator.choice([-value, value * 10, value / 7, str(value), [value], value + 1, 0])
    elif isinstance(value, str) and len(value) > 1:
        at = generator.randrange(len(value) - 1)
        parent[key] = value[:at] + value[at + 1] + value[at] + value[at + 2 :]
    elif isinstance(key, str) and len(key) > 1 and generator.random() < 0.5:
        at = generator.randrange(len(key) - 1)
        parent[key[:at] + key[at + 1] + key[at] + key[at + 2 :]] = parent.pop(key)
    else:
        del parent[key]
    return data


def broken(number: int, seed: int = 0) -> tuple[pathlib.Path, str | None]:
    """The shipped file and the text of case `number`; None where YAML cannot write what came out."""
    shipped = SHIPPED[number % len(SHIPPED)]
    generator, original = random.Random(f"{seed} {number}"), shipped.read_text(encoding="utf-8")
    kind = generator.random()
    if kind < 0.3:
        return shipped, mutated_text(generator, original)
    data = yaml_document.parse(original, str(shipped)).data
    mlp = data["recipe"] == "mlp_sequential" and data["search"]["strategy"] == "random"
    if mlp:
        data["space"].pop("model.layers", None)
    for section in MLP_EXTRAS if mlp else EXTRAS:
        data = with_extra(data, section)
    try:
        return shipped, yaml_document.dump(mutated_data(generator, data) if kind < 0.7 else slip(generator, data))
    except (UnicodeError, ValueError):
        return shipped, None


def answer(path: pathlib.Path) -> tuple[str, str]:
    """`valid`, `refused` or `traceback`, and what was said."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            tuning.dry_run(path, trials=False)
    except InputError as error:
        return "refused", str(error)
    except BaseException:
        return "traceback", traceback.format_exc()
    return "valid", ""


def fault(message: str, source: str) -> str | None:
    """What is wrong with the message of a refused file; None when it is as it should be."""
    for line in message.splitlines():
        if not line.startswith(f"{source}:"):
            return f"does not name the file: {line[:300]}"
        if not re.match(r":\d+: \S", line[len(source) :]) and not any(words in line for words in WITHOUT_LINE):
            return f"has no line: {line[:300]}"
        if len(line) > 1500:
            return f"is {len(line)} characters long: {line[:300]}"
    return None if message else "says nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="cases")
    parser.add_argument("--seed", type=int, default=0, help="of the slips")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for the counts")
    arguments = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    counts: collections.Counter[str] = collections.Counter()
    faults, slowest, start = [], 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "fuzzed.yaml"
        for number in range(arguments.count):
            shipped, text = broken(number, arguments.seed)
            if text is None:
                counts["no text"] += 1
                continue
            path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
            began = time.perf_counter()
            kind, message = answer(path)
            slowest = max(slowest, time.perf_counter() - began)
            wrong = message if kind == "traceback" else fault(message, str(path)) if kind == "refused" else None
            counts[kind] += 1
            if wrong is not None:
                counts["faults"] += 1
                faults.append({"case": number, "file": shipped.name, "fault": wrong})
                print(f"case {number} ({shipped.name}): {wrong}", file=sys.stderr)
    result = {
        "command": f"python -m tests.tuning.fuzz --count {arguments.count} --seed {arguments.seed}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit,
        "python": platform.python_version(),
        "cases": arguments.count,
        **{kind: counts[kind] for kind in ("valid", "refused", "no text", "traceback", "faults")},
        "slowest_seconds": round(slowest, 3),
        "seconds": round(time.perf_counter() - start, 1),
        "examples": faults[:20],
    }
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in result.items() if key != "examples"}))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
