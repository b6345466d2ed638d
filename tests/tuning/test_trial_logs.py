"""TensorBoard's own readers read what a search logs."""

import pytest
from recorded_searches import SPACE, drawn_records, record
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from kerastrain.tuning.objective import Objective
from kerastrain.tuning.parameters import parameter
from kerastrain.tuning.trial_logs import TrialLogs

OBJECTIVE = Objective(metric="val_loss", mode="min")
PREFIX = "_hparams_/"


def logs_of(folder, space=SPACE):
    return TrialLogs(folder, {path: parameter(given) for path, given in space.items()}, OBJECTIVE)


def read(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def content(events, name):
    return events.SummaryMetadata(PREFIX + name).plugin_data.content


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder, records = tmp_path_factory.mktemp("search"), drawn_records(40)
    logs_of(folder).write(records)
    return folder / "logs", records


def test_the_experiment_names_parameters_their_domains_and_the_metric(written):
    folder, _ = written
    experiment = metadata.parse_experiment_plugin_data(content(read(folder), "experiment"))
    infos = {info.name: info for info in experiment.hparam_infos}
    assert list(infos) == list(SPACE)
    assert infos["optimizer.learning_rate"].display_name == "learning_rate"
    interval = infos["optimizer.learning_rate"].domain_interval
    assert (interval.min_value, interval.max_value) == (1e-4, 1.0)
    rules = [value.string_value for value in infos["optimizer.rule"].domain_discrete.values]
    assert sorted(rules) == ["adam", "sgd"]
    assert [info.name.tag for info in experiment.metric_infos] == ["best_val_loss", "epochs", "seconds"]


@pytest.mark.parametrize("status", ["completed", "pruned", "diverged"])
def test_a_trial_has_its_parameters_its_curve_and_its_end(written, status):
    folder, records = written
    trial = next(trial for trial in records if trial.status == status)
    events = read(folder / f"trial_{trial.number:04d}")
    start = metadata.parse_session_start_info_plugin_data(content(events, "session_start_info"))
    given = dict(start.hparams.items())
    assert set(given) == set(trial.parameters)
    assert given["optimizer.learning_rate"].number_value == trial.parameters["optimizer.learning_rate"]
    assert given["optimizer.rule"].string_value == trial.parameters["optimizer.rule"]
    end = metadata.parse_session_end_info_plugin_data(content(events, "session_end_info"))
    assert end.status == (api_pb2.STATUS_FAILURE if status == "diverged" else api_pb2.STATUS_SUCCESS)
    points = [(event.step, float(event.tensor_proto.float_val[0])) for event in events.Tensors("val_loss")]
    finite = [(row["epoch"] + 1, row["val_loss"]) for row in trial.history if row["val_loss"] == row["val_loss"]]
    assert [step for step, _ in points] == [step for step, _ in finite]
    assert [value for _, value in points] == pytest.approx([value for _, value in finite], rel=1e-6)
    assert ("best_val_loss" in events.Tags()["tensors"]) == (status == "completed")


def test_mixed_choices_become_text_and_what_is_there_stays(tmp_path):
    space = {"model.dropout": {"type": "choice", "values": [None, 0.2, "spatial"]}}
    logs = logs_of(tmp_path, space)
    first = [record(1, {"model.dropout": None}, [1.0])]
    logs.write(first)
    file = next((tmp_path / "logs" / "trial_0001").iterdir())
    before = file.read_bytes(), file.stat().st_mtime_ns
    logs.write([*first, record(2, {"model.dropout": 0.2}, [0.5])])
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    for number, text in ((1, "null"), (2, "0.2")):
        events = read(tmp_path / "logs" / f"trial_{number:04d}")
        start = metadata.parse_session_start_info_plugin_data(content(events, "session_start_info"))
        assert start.hparams["model.dropout"].string_value == text
