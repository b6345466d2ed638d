"""The trials as TensorBoard's HParams page shows them."""

import json
import math
import pathlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api, api_pb2
from tensorboard.plugins.hparams import summary as hparams_summary
from tensorboard.plugins.scalar import summary_v2 as scalars
from tensorboard.summary.writer.record_writer import RecordWriter

from kerastrain._core import atomic_files
from kerastrain.tuning.objective import Objective
from kerastrain.tuning.parameters import BoolParameter, ChoiceParameter, IntParameter, Parameter, VariantsParameter
from kerastrain.tuning.records import DIVERGED, FAILED, TrialRecord
from kerastrain.tuning.table import short_names

LOGS = "logs"

# TensorBoard looks for this in the names of files.
_FILE = "events.out.tfevents.0.kerastrain"
_NOT_METRICS = {"epoch", "repeat", "seconds"}


class TrialLogs:
    """Writes `logs/`: one run a trial, with its parameters, its best value, and each metric over the epochs.

    `tensorboard --logdir SEARCH/logs` reads it, also while the search runs. The files are written with TensorBoard's
    own writer, which needs no TensorFlow (`tf.summary` and `keras.callbacks.TensorBoard` do): every backend has them.

    Args:
        folder: of the search.
        space: its parameters; what is no `Parameter`, such as keras-tuner's own, is logged without its range.
        objective: metric and mode.
    """

    def __init__(self, folder: pathlib.Path, space: Mapping[str, Any], objective: Objective) -> None:
        self.folder = folder / LOGS
        self.space = space
        self.objective = objective

    def write(self, records: Iterable[TrialRecord]) -> None:
        """Write the trials that are not there yet; those that are there stay as they are."""
        if not (self.folder / _FILE).exists():
            _write_events(self.folder, [(0, self._experiment())])
        for record in records:
            folder = self.folder / f"trial_{record.number:04d}"
            if not (folder / _FILE).exists():
                _write_events(folder, self._events(record))

    def _experiment(self) -> Any:
        names = short_names(self.space)
        parameters = [
            api.HParam(path, _domain(parameter), display_name=names[path], description=path)
            for path, parameter in self.space.items()
        ]
        best = api.Metric(self._best, display_name=f"best {self.objective.metric}")
        metrics = [best, api.Metric("epochs"), api.Metric("seconds")]
        return api.hparams_config_pb(parameters, metrics)

    @property
    def _best(self) -> str:
        return f"best_{self.objective.metric}"

    def _events(self, record: TrialRecord) -> Iterable[tuple[int, Any]]:
        chosen = {path: _plain(self.space[path], value) for path, value in record.parameters.items()}
        yield 0, api.hparams_pb(chosen, trial_id=f"trial {record.number:04d}")
        for row in record.history:
            for name, value in row.items():
                if name not in _NOT_METRICS and isinstance(value, int | float) and math.isfinite(value):
                    repeat = row.get("repeat", 1)
                    tag = name if repeat == 1 else f"{name} of repeat {repeat}"
                    yield row["epoch"] + 1, scalars.scalar_pb(tag, value)
        if record.value is not None:
            yield (record.epoch or 0) + 1, scalars.scalar_pb(self._best, record.value)
        yield 0, scalars.scalar_pb("epochs", len(record.history))
        yield 0, scalars.scalar_pb("seconds", record.seconds)
        failed = record.status in (DIVERGED, FAILED)
        status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
        yield 0, hparams_summary.session_end_pb(status)


def _domain(parameter: Any) -> Any:
    if not isinstance(parameter, Parameter):
        return None
    if isinstance(parameter, ChoiceParameter | BoolParameter | VariantsParameter):
        values = [_plain(parameter, value) for value in parameter.points()]
        return api.Discrete(values)
    low, high = min(parameter.extremes()), max(parameter.extremes())
    return api.IntInterval(low, high) if isinstance(parameter, IntParameter) else api.RealInterval(low, high)


def _plain(parameter: Any, value: Any) -> Any:
    """TensorBoard knows numbers, texts and truth values, all values of a parameter of one kind."""
    if not isinstance(parameter, ChoiceParameter):
        return value if isinstance(value, bool | int | float | str) else json.dumps(value)
    kinds = {type(point) for point in parameter.values}
    if kinds in ({str}, {bool}):
        return value
    if kinds <= {int, float}:
        return float(value)
    return value if isinstance(value, str) else json.dumps(value)


def _write_events(folder: pathlib.Path, summaries: Iterable[tuple[int, Any]]) -> None:
    now = time.time()
    with atomic_files.replacing(folder / _FILE) as path, path.open("wb") as stream:
        writer = RecordWriter(stream)
        writer.write(event_pb2.Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, made in summaries:
            # Some of TensorBoard's functions give TensorFlow's message of that name, where it is installed.
            summary = summary_pb2.Summary.FromString(made.SerializeToString())
            writer.write(event_pb2.Event(wall_time=now, step=step, summary=summary).SerializeToString())
        writer.flush()
