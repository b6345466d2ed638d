"""Several processes for one search. This process decides, records and writes; workers train."""

import contextlib
import multiprocessing
import pathlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import wait
from typing import Any

from kerastrain._core.interruption import Interruption
from kerastrain.tuning import shared_data
from kerastrain.tuning.planning import Plan
from kerastrain.tuning.records import FAILED, TrialRecord
from kerastrain.tuning.trial_training import TrialInterruptedError
from kerastrain.tuning.tuner import SearchTuner
from kerastrain.tuning.worker_process import Assignment, Ended, Epoch, Told, serve
from kerastrain.tuning.worker_start import LOGS, starting

# A trial whose worker dies so often is taken for the cause of it.
_DEATHS = 3
# For a checkpoint, once a signal has come.
_SECONDS_TO_STOP = 60.0


class _Worker:
    """One process, and what it is doing."""

    def __init__(self, plan: Plan, folder: pathlib.Path, log: pathlib.Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.log = log
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, plan, folder), daemon=True)
        self.process.start()
        other.close()  # So that its end is seen here.
        self.trial: Any = None
        self.told = 0

    def give(self, trial: Any, tuner: SearchTuner) -> None:
        """Let it train a trial, with the records that it does not have yet."""
        self.trial = trial
        records = tuner.records[self.told :]
        self.told += len(records)
        with contextlib.suppress(OSError):  # It is dead, which is seen when its end is read.
            self.connection.send(Assignment(number_of(trial), trial.hyperparameters.values, records))

    def end(self, deadline: float) -> None:
        """Wait until it has ended, and do not wait longer than `deadline`."""
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join(max(0.0, deadline - time.monotonic()))
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


class Workers:
    """Runs the trials of a tuner by several processes, within a `with` block.

    Each process has its share of the cores, and reads the data through one memory map. A trial is a function of the
    seed and its number, so which worker trains it changes nothing; pruners judge by the trials that had ended when it
    began. A trial whose worker dies is given to another one, which goes on from its checkpoint; the third time it has
    failed.

    Args:
        plan: of the search; its models are recipes'.
        folder: of the search.
        count: how many processes, at least 1.
        content: what `RecipeHyperModel.shared` gives.
        announce: is given one line for each thing worth telling.
        still: makes a block in which nothing else writes to standard error.
    """

    def __init__(
        self,
        plan: Plan,
        folder: pathlib.Path,
        count: int,
        content: Any,
        announce: Callable[[str], None],
        still: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.plan, self.folder, self.count, self.announce, self.still = plan, folder, count, announce, still
        self._content = content
        self._workers: list[_Worker] = []
        self._deaths: dict[int, int] = {}
        self._waiting: list[Any] = []
        self._stopping = False

    def __enter__(self) -> "Workers":
        shared_data.write(self.folder / shared_data.FOLDER, self._content)
        self._content = None
        return self

    def __exit__(self, *exception: Any) -> None:
        deadline = time.monotonic() + (5.0 if exception[0] is None else 0.0)
        for worker in self._workers:
            worker.end(deadline)
        shared_data.remove(self.folder / shared_data.FOLDER)

    def search(self, tuner: SearchTuner) -> None:
        """All trials of `tuner`, as its own `search` runs them.

        Raises:
            TrialInterruptedError: a signal came; what was under way is saved.
            RuntimeError: as keras-tuner does, when three trials in a row have failed.
        """
        interruption = Interruption()
        with interruption.listening():
            tuner.on_search_begin()
            more = True
            while interruption.name is None:
                more = more and self._hand_out(tuner)
                if not any(worker.trial is not None for worker in self._workers):
                    break
                self._look(tuner, 0.2)
            else:
                self._stop(tuner)
                raise TrialInterruptedError(interruption.name)
            tuner.on_search_end()

    def _hand_out(self, tuner: SearchTuner) -> bool:
        """Give trials to those that have none; whether there may be more."""
        while True:
            idle = next((worker for worker in self._workers if worker.trial is None), None)
            if idle is None and len(self._workers) >= self.count:
                return True
            trial = self._waiting.pop(0) if self._waiting else tuner.next_trial()
            if trial is None:
                return False
            if idle is None:
                idle = self._started()
            idle.give(trial, tuner)

    def _started(self) -> _Worker:
        """A further process, with the first log that no other one writes to."""
        taken = {worker.log for worker in self._workers}
        logs = (self.folder / LOGS / f"{number}.log" for number in range(1, self.count + 1))
        log = next(log for log in logs if log not in taken)
        with self.still(), starting(self.count, log):
            worker = _Worker(self.plan, self.folder, log)
        self._workers.append(worker)
        return worker

    def _look(self, tuner: SearchTuner, seconds: float) -> None:
        """Take what workers have sent within the next `seconds`, and notice those that have ended."""
        by_connection: dict[Any, _Worker] = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), seconds):
            worker = by_connection[connection]
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                self._died(worker, tuner)
                continue
            if isinstance(message, Told):
                self.announce(message.line)
            elif isinstance(message, Epoch) and tuner.on_epoch is not None:
                tuner.on_epoch(message.number, message.row)
            elif isinstance(message, Ended):
                trial, worker.trial = worker.trial, None
                tuner.take(trial, message.record)

    def _died(self, worker: _Worker, tuner: SearchTuner) -> None:
        self._workers.remove(worker)
        worker.process.join()
        worker.connection.close()
        if self._stopping:
            return
        how, trial, seen = _end_of(worker.process.exitcode), worker.trial, f"what it wrote is in {worker.log}"
        if trial is None:
            self.announce(f"A worker {how}; it had no trial; {seen}.")
            return
        number = number_of(trial)
        deaths = self._deaths[number] = self._deaths.get(number, 0) + 1
        if deaths < _DEATHS:
            self.announce(f"Trial {number}: its worker {how}; another one goes on with it; {seen}.")
            self._waiting.append(trial)
            return
        parameters = tuner.hypermodel.space.decode(trial.hyperparameters.values)
        message = f"its worker {how}, as {_DEATHS - 1} before it; what it wrote is in {LOGS}/{worker.log.name}"
        tuner.take(trial, TrialRecord(number, parameters, FAILED, None, None, 0.0, [], message))

    def _stop(self, tuner: SearchTuner) -> None:
        """Let those that train save, and take what ends before that."""
        self._stopping = True
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while self._workers and time.monotonic() < deadline:
            self._look(tuner, 0.2)


def number_of(trial: Any) -> int:
    """A trial's number, from 1; keras-tuner's names of trials are numbers from 0."""
    return int(trial.trial_id) + 1


def _end_of(code: int | None) -> str:
    return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
