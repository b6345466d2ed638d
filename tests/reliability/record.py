"""What has been done of the full numbers, one JSON line a case, so that an interrupted run goes on where it was."""

import json
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]


class Record:
    """The lines of `reliability.jsonl` that are of this code."""

    def __init__(self, path, code):
        self.path, self.code = path, code
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        self.rows = {(row["case"], row["seed"]): row for row in rows if row["code"] == code}

    def done(self, case):
        """How many of a case there are."""
        return sum(row["count"] for (name, _), row in self.rows.items() if name == case)

    def once(self, case, seed, work):
        """The row of a case, done now where it is not there yet. `work` gives its count and problems."""
        if (case, seed) not in self.rows:
            started = time.monotonic()
            count, problems, facts = work()
            seconds = round(time.monotonic() - started, 2)
            row = {"case": case, "seed": seed, "count": count, "problems": problems, **facts, "seconds": seconds}
            row["code"] = self.code
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            self.rows[case, seed] = row
            for problem in problems:
                print(f"\n{case} {seed}: {problem}", file=sys.stderr)
        return self.rows[case, seed]


def identity_of_the_code():
    """The tree of the package as git knows it, marked where files differ from it."""
    tree = git("rev-parse", "--short=12", "HEAD:kerastrain")
    return tree + ("-changed" if git("status", "--porcelain", "--", "kerastrain") else "")


def git(*arguments):
    """What git says about this repository."""
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()
