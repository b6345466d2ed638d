"""The other side of `workers`: a process that trains the trials it is given, one after the other."""

import dataclasses
import os
import pathlib
import queue
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, cast

from kerastrain.tuning import shared_data
from kerastrain.tuning.hypermodel import RecipeHyperModel
from kerastrain.tuning.planning import Plan
from kerastrain.tuning.records import TrialRecord
from kerastrain.tuning.space import Space
from kerastrain.tuning.trial_recipes import TrialRecipes
from kerastrain.tuning.trial_training import TrialInterruptedError
from kerastrain.tuning.tuner import SearchTuner
from kerastrain.tuning.worker_start import listen


@dataclasses.dataclass(frozen=True)
class Assignment:
    """A trial for a worker.

    number: of the trial.
    values: keras-tuner's.
    records: of the trials that ended since the worker's last one; its pruner looks at them.
    """

    number: int
    values: dict[str, Any]
    records: Sequence[TrialRecord]


@dataclasses.dataclass(frozen=True)
class Ended:
    """A trial is trained."""

    record: TrialRecord


@dataclasses.dataclass(frozen=True)
class Told:
    """A line for the terminal."""

    line: str


@dataclasses.dataclass(frozen=True)
class Epoch:
    """An epoch of a trial has ended; `row` is that of its history."""

    number: int
    row: dict[str, Any]


def serve(connection: Connection, plan: Plan, folder: pathlib.Path) -> None:
    """Train what comes through `connection` until None comes, a signal, or the end of the search's process.

    Args:
        connection: to the search.
        plan: of the search.
        folder: of the search, in which its data are shared.
    """
    # Ctrl-C in a terminal is for the search, which tells its workers; and standard output is for its result.
    os.setpgrp()
    listen()
    os.dup2(2, 1)
    inbox = _inbox(connection)
    hypermodel = RecipeHyperModel(Space(plan.config.written().parameters), cast(TrialRecipes, plan.recipes))
    hypermodel.use(shared_data.read(folder / shared_data.FOLDER))
    with tempfile.TemporaryDirectory() as engine:
        tuner = SearchTuner(
            plan.oracle(),
            hypermodel,
            objective=plan.config.objective,
            directory=engine,
            pruner=plan.pruner(),
            repeats=plan.config.repeats,
            announce=lambda line: connection.send(Told(line)),
            on_epoch=lambda number, row: connection.send(Epoch(number, row)),
        )
        tuner.folder = folder
        while (given := inbox.get()) is not None:
            tuner.records += given.records
            hyperparameters = tuner.oracle.hyperparameters.copy()
            hyperparameters.values = dict(given.values)
            try:
                record = tuner.trained(hyperparameters, given.number)
            except TrialInterruptedError:
                return  # It is saved, and goes on in another process.
            connection.send(Ended(record))


def _inbox(connection: Connection) -> "queue.Queue[Assignment | None]":
    """What comes through `connection`, read by a thread that ends the process when the other side is gone: the search
    was killed, and whoever starts it again may train the same trial."""
    inbox: queue.Queue[Assignment | None] = queue.Queue()

    def read() -> None:
        while True:
            try:
                inbox.put(connection.recv())
            except (EOFError, OSError):
                os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return inbox
