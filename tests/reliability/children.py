"""The other side of `server.py`: start a training in a process of its own, look how far it is, kill it."""

import json
import os
import pathlib
import subprocess
import sys
import time

import keras


class Children:
    """A server and its children, within a `with` block."""

    def __enter__(self):
        root = pathlib.Path(__file__).parents[2]
        environment = {
            **os.environ,
            "KERAS_BACKEND": keras.backend.backend(),
            "PYTHONPATH": str(root),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.server = subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).parent / "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._answer()
        return self

    def __exit__(self, *exception):
        self.server.stdin.close()
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()

    def start(self, folder, **arguments):
        """The process id of a training in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        return self._ask({"start": {"folder": str(folder), **arguments}})["pid"]

    def wait(self, pid):
        """The exit code of a child, or the negative of the signal that ended it."""
        return self._ask({"wait": pid})["status"]

    def run(self, folder, **arguments):
        return self.wait(self.start(folder, **arguments))

    def stop_after(self, pid, folder, lines, delay, number):
        """Send a signal to a child that has written so many lines more than there are now, and so many seconds later;
        its status."""
        wanted = len(lines_of(folder)) + lines
        # A child that has ended is waited for by nobody yet, so that its number is still its own.
        while len(lines_of(folder)) < wanted and not _ended(pid):
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(pid, number)
        return self.wait(pid)

    def _ask(self, request):
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.server.stdout.readline()
        if not line:
            raise RuntimeError("the server of children has ended")
        return json.loads(line)


def _ended(pid):
    state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state == "Z"


def lines_of(folder):
    """The whole lines of `steps.jsonl`."""
    path = folder / "steps.jsonl"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def steps_of(folder):
    """What each process wrote down, one list for each."""
    processes = []
    for line in map(json.loads, lines_of(folder)):
        if "process" in line:
            processes.append([])
        else:
            processes[-1].append(line)
    return processes


def final_of(folder):
    return json.loads((folder / "final.json").read_text())


def told_in(folder):
    return (folder / "told.txt").read_text(errors="replace")
