"""Faults of whole trainings in processes of their own, each continued to the end and compared with the one without."""

import errno
import json
import random
import shutil
import signal

from children import final_of, lines_of, steps_of, told_in
from store_cases import FILES, KINDS, damaged
from training import FEATURES

CODES = {"SIGINT": 130, "SIGTERM": 143}


class TrainingCases:
    """Cases that share the children, a folder to work in, and the trainings without a fault.

    A case returns a dictionary of what it counted; its `problems` are empty when every promise was kept.
    """

    def __init__(self, children, folder):
        self.children, self.folder = children, folder
        self._whole = {}

    def whole(self, features):
        """The uninterrupted training: its end, and its steps by place."""
        if features not in self._whole:
            folder = self._fresh(f"whole-{features}")
            status = self.children.run(folder, features=features)
            if status != 0:
                raise RuntimeError(f"the training without a fault ended with {status}: {told_in(folder)[-2000:]}")
            self._whole[features] = (final_of(folder), _by_place(steps_of(folder)[0]))
        return self._whole[features]

    def identical(self, features):
        """Two trainings without a fault."""
        end, steps = self.whole(features)
        folder = self._fresh(f"identical-{features}")
        problems = self._finish(folder, features, expected=0)
        return {"problems": problems, "steps": len(steps), "variables": len(end["final"]["variables"])}

    def stopped(self, seed, stops, name="SIGKILL", features="everything"):
        """A training that a signal stops `stops` times at random, and that is continued each time."""
        generator = random.Random(f"{name} {seed}")
        _, steps = self.whole(features)
        folder = self._fresh(f"stopped-{name}-{seed}")
        problems, hits = [], 0
        for _ in range(stops):
            done, processes = _furthest(folder), len(steps_of(folder))
            left = len([place for place in steps if place > done])
            pid = self.children.start(folder, features=features)
            if generator.random() < 0.2:  # Also before there is a step: in the import of a checkpoint, in the trace.
                status = self.children.stop_after(pid, folder, 0, generator.uniform(0, 3), signal.Signals[name])
            else:
                lines = generator.randint(1, max(1, min(left, 4)))
                delay = generator.uniform(0, 0.03)
                status = self.children.stop_after(pid, folder, lines, delay, signal.Signals[name])
            wanted = -signal.Signals[name] if name == "SIGKILL" else CODES[name]
            hits += status == wanted
            # Before Python has set a handler, SIGTERM and SIGINT end the process in their own way.
            early = name != "SIGKILL" and status in (-signal.Signals[name], 99) and not _begun(folder)
            if status not in (wanted, 0) and not early:
                problems.append(f"status {status} instead of {wanted}: {told_in(folder)[-500:]}")
            if len(steps_of(folder)) > processes:  # Else it was stopped before it had written down anything.
                problems += self._lost(folder, done, name)
            if status == 0:
                break
        problems += self._finish(folder, features)
        return {"problems": problems, "stops": hits}

    def killed_in_a_save(self, operation, mode, features="everything"):
        """SIGKILL at a file operation, counted from the beginning of the third save of the training."""
        end, _ = self.whole(features)
        number = end["starts"][2] + operation - 1
        folder = self._fresh(f"operation-{operation}-{mode}")
        status = self.children.run(folder, features=features, fault={"operation": number, "mode": mode})
        problems = [] if status == -9 else [f"status {status} instead of -9"]
        problems += self._finish(folder, features)
        return {"problems": problems, "operation": operation, "mode": mode}

    def operations_of_a_save(self, features="everything"):
        starts = self.whole(features)[0]["starts"]
        return starts[3] - starts[2]

    def failing_file_system(self, seed, policy, features="everything"):
        """A disk that is full, broken or read-only from some operation on, for a while."""
        generator = random.Random(f"{policy} {seed}")
        end, _ = self.whole(features)
        first = generator.randrange(end["starts"][1], end["starts"][-1])
        code = (errno.ENOSPC, errno.EIO, errno.EROFS)[seed % 3]
        fault = {"operation": first, "mode": code, "count": generator.choice([1, 5, 40])}
        folder = self._fresh(f"failing-{policy}-{seed}")
        status = self.children.run(folder, features=features, fault=fault, on_failure=policy)
        problems, told = [], told_in(folder)
        if policy == "warn" and status != 0:
            problems.append(f"status {status} although it was to go on: {told[-500:]}")
        if policy == "fail" and status not in (0, 1):
            problems.append(f"status {status} instead of 1: {told[-500:]}")
        if status == 1 and "Those before it are kept; the same command continues." not in told:
            problems.append(f"it ended for another reason: {told[-500:]}")
        problems += self._finish(folder, features)
        return {"problems": problems, "status": status, "errno": errno.errorcode[code]}

    def all_damaged(self, seed, features="everything"):
        """All checkpoints of a training are damaged: it must say so and not begin anew."""
        generator = random.Random(f"damaged {seed}")
        folder = self._fresh(f"damaged-{seed}")
        pid = self.children.start(folder, features=features)
        self.children.stop_after(pid, folder, 8, 0, signal.SIGKILL)
        paths = sorted((folder / "checkpoints").glob("checkpoint-*"))
        for path in paths:
            damaged(path / generator.choice(FILES), generator.choice(KINDS), generator)
        processes = len(steps_of(folder))
        statuses = [self.children.run(folder, features=features) for _ in range(2)]
        problems = [] if statuses == [1, 1] else [f"statuses {statuses} instead of 1"]
        if not paths or told_in(folder).count(f"all {len(paths)} checkpoints are damaged; nothing was trained") != 2:
            problems.append(f"not told: {told_in(folder)[-500:]}")
        if any(steps_of(folder)[processes:]):
            problems.append("it trained")
        return {"problems": problems}

    def finished(self, features="everything"):
        """A training that is done is asked for again."""
        folder = self._fresh("finished")
        problems = self._finish(folder, features)
        (folder / "final.json").unlink()
        before = len(steps_of(folder))
        problems += self._finish(folder, features)
        if any(steps_of(folder)[before:]):
            problems.append("it trained")
        if "this training is finished after 4 epochs (" not in told_in(folder):
            problems.append("its result was not told")
        return {"problems": problems}

    def two_processes(self, seed, features="everything"):
        """A second process wants the folder of the first, at some moment of its training."""
        generator = random.Random(f"two {seed}")
        folder = self._fresh(f"two-{seed}")
        first = self.children.start(folder, features=features, slow=0.15)
        wanted = generator.randint(2, 4)
        while len(lines_of(folder)) < wanted:
            pass
        status = self.children.run(folder, features=features)
        problems = [] if status == 3 else [f"the second ended with {status} instead of 3"]
        if "in use by another process" not in told_in(folder):
            problems.append("it was not told")
        status = self.children.wait(first)
        if status != 0:
            problems.append(f"the first ended with {status}")
        problems += self._finish(folder, features, expected=0)
        return {"problems": problems}

    def _fresh(self, name):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _finish(self, folder, features, expected=0):
        """Continue to the end; what differs from the training without a fault."""
        status = self.children.run(folder, features=features)
        if status != expected:
            return [f"the continued training ended with {status}: {told_in(folder)[-800:]}"]
        end, steps = self.whole(features)
        found = final_of(folder)["final"]
        problems = [f"{name} differ" for name in end["final"] if found[name] != end["final"][name]]
        rows = [row for process in steps_of(folder) for row in process]
        differing = [row["place"] for row in rows if row != steps.get(tuple(row["place"]))]
        if differing:
            problems.append(f"steps differ: {differing}")
        missing = sorted(set(steps) - {tuple(row["place"]) for row in rows})
        if missing:
            problems.append(f"steps were left out: {missing}")
        if list((folder / "checkpoints").glob("damaged-*")) or "damaged" in told_in(folder):
            problems.append("a checkpoint was damaged")
        return problems

    def _lost(self, folder, done, name):
        """What the newest process trained again: at most the one execution that was not yet saved, after SIGTERM and
        SIGINT none."""
        newest = steps_of(folder)[-1]
        if not newest:
            return []
        first = tuple(newest[0]["place"])
        if name == "SIGKILL":
            return [f"began at {first} after {done}"] if first < done else []
        return [f"began at {first} after {done}"] if first <= done else []


def _begun(folder):
    """Whether the newest process has come to train."""
    return bool(lines_of(folder)) and "place" in json.loads(lines_of(folder)[-1])


def _by_place(rows):
    return {tuple(row["place"]): row for row in rows}


def _furthest(folder):
    """The last place that any process has come to."""
    return max((tuple(row["place"]) for process in steps_of(folder) for row in process), default=(-1, -1))


__all__ = ["FEATURES", "TrainingCases"]
