"""When a ResumableCheckpoint saves, what it keeps, and what happens when it cannot."""

import errno
import json
import os
import types

import pytest
from training_probes import CrashError, Training

from kerastrain._core import checkpoint_files, checkpoint_store
from kerastrain._core.errors import WorkFailedError
from kerastrain.callbacks import StatefulCallback, save_times


def places(folder):
    """Epoch and step of each checkpoint that is there, the oldest first."""
    found = []
    for path in sorted((folder / "checkpoints").glob("checkpoint-*")):
        about = json.loads((path / "manifest.json").read_text())["about"]
        found.append((about["epoch"], about["step"], about["finished"]))
    return found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [(1, 0), (2, 0), (3, 0)]),
        ({"every_epochs": 2}, [(2, 0)]),
        ({"every_epochs": None, "every_steps": 4}, [(0, 4), (1, 2), (2, 0), (2, 4)]),
        ({"every_steps": 4}, [(0, 4), (1, 0), (1, 4), (2, 0), (2, 4), (3, 0)]),
    ],
    ids=str,
)
def test_it_saves_when_it_is_told_to(options, expected, tmp_path):
    Training(tmp_path, keep_last=99, **options).run()
    # An epoch has 6 steps. With every_steps alone the count goes on over its end: the 4th, 8th, 12th, 16th.
    assert [place[:2] for place in places(tmp_path)[:-1]] == expected
    assert places(tmp_path)[-1] == (3, 0, True)


def test_it_saves_by_minutes(tmp_path, monkeypatch):
    class Clock:
        seconds = 0.0

        def monotonic(self):
            return self.seconds

    class Ticks(StatefulCallback):
        def on_train_batch_end(self, batch, logs=None):
            clock.seconds += 25.0

    clock = Clock()
    monkeypatch.setattr(save_times, "time", clock)
    Training(tmp_path, callbacks=lambda: [Ticks()], keep_last=99, every_epochs=None, every_minutes=1).run(2)
    # A minute has passed after the third step, and after three more, at the end of the epoch.
    assert places(tmp_path) == [(0, 3, False), (1, 0, False), (1, 3, False), (2, 0, False), (2, 0, True)]


def test_by_minutes_without_data_it_waits_for_the_end_of_the_epoch(tmp_path, monkeypatch):
    clock = types.SimpleNamespace(monotonic=lambda: 1e6 * len(calls) if calls.append(1) is None else 0)
    calls = []
    monkeypatch.setattr(save_times, "time", clock)
    Training(tmp_path, seen=False, keep_last=99, every_epochs=None, every_minutes=1).run(2)
    assert places(tmp_path) == [(1, 0, False), (2, 0, False), (2, 0, True)]


def test_the_last_ones_stay_and_the_one_before_the_end_too(tmp_path):
    Training(tmp_path, keep_last=1).run(4)
    assert places(tmp_path) == [(4, 0, False), (4, 0, True)]


def test_the_best_epochs_stay(tmp_path):
    class Sets(StatefulCallback):
        def on_epoch_end(self, epoch, logs=None):
            logs["value"] = [0.5, 0.9, float("nan"), 0.7, 0.1][epoch]

    options = {"callbacks": lambda: [Sets()], "keep_last": 1, "keep_best": 2, "monitor": "value", "mode": "max"}
    Training(tmp_path, **options).run(5)
    # The two largest are those of the second and the fourth epoch; NaN is none of the best.
    assert places(tmp_path) == [(2, 0, False), (4, 0, False), (5, 0, False), (5, 0, True)]


class Failing:
    """`os` in which the operations from the n-th on fail, `count` of them."""

    COUNTED = ("makedirs", "mkdir", "open", "write", "fsync", "rename", "listdir")

    def __init__(self, first, code, count=1):
        self.first, self.code, self.count, self.seen = first, code, count, 0

    def __getattr__(self, name):
        found = getattr(os, name)
        if name not in self.COUNTED:
            return found

        def operation(*args, **options):
            self.seen += 1
            if self.first is not None and self.first <= self.seen < self.first + self.count:
                raise OSError(self.code, os.strerror(self.code))
            return found(*args, **options)

        return operation


def put_in_place(monkeypatch, shim):
    for module in (checkpoint_files, checkpoint_store):
        monkeypatch.setattr(module, "os", shim)


class FailsFrom(StatefulCallback):
    """Lets the file system fail within an epoch's end, when there already are checkpoints."""

    def __init__(self, monkeypatch, shim, epoch=1):
        super().__init__()
        self.monkeypatch, self.shim, self.epoch = monkeypatch, shim, epoch

    def on_epoch_end(self, epoch, logs=None):
        put_in_place(self.monkeypatch, self.shim if epoch == self.epoch else os)


CODES = [errno.ENOSPC, errno.EIO, errno.EROFS]


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_a_checkpoint_that_cannot_be_written_ends_the_training_and_loses_none(code, tmp_path, monkeypatch):
    def callbacks():
        return [FailsFrom(monkeypatch, Failing(5, code, 10**6))]

    training = Training(tmp_path, callbacks=callbacks)
    message = (
        rf"the checkpoint at the end of epoch 2 cannot be written \({os.strerror(code)}\). Those before it are kept"
    )
    with pytest.raises(WorkFailedError, match=message):
        training.run()
    put_in_place(monkeypatch, os)
    assert places(tmp_path) == [(1, 0, False)]
    resumed = Training(tmp_path, callbacks=lambda: [FailsFrom(monkeypatch, os)]).run()
    assert min(resumed.steps.rows) == (1, 0) and resumed.checkpoint.finished


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_or_is_told_and_the_training_goes_on(code, tmp_path, monkeypatch):
    def callbacks():
        return [FailsFrom(monkeypatch, Failing(5, code, 10**6))]

    training = Training(tmp_path, callbacks=callbacks, on_failure="warn", keep_last=9).run()
    told = [line for line in training.lines if "cannot be written" in line]
    assert len(told) == 1 and f"at the end of epoch 2 cannot be written ({os.strerror(code)})" in told[0]
    assert told[0].endswith("Those before it are kept, and training goes on.")
    # The next ones are written again.
    assert places(tmp_path) == [(1, 0, False), (3, 0, False), (3, 0, True)]


@pytest.mark.parametrize("policy", ["fail", "warn"])
def test_a_folder_that_cannot_be_used(policy, tmp_path):
    (tmp_path / "file").write_text("the user's own")
    training = Training(tmp_path / "file", on_failure=policy)
    if policy == "fail":
        with pytest.raises(Exception, match=r"`folder`: .*file/checkpoints cannot be used \(Not a directory\)"):
            training.run()
        assert training.steps.rows == {}
    else:
        training.run(2)
        assert len(training.steps.rows) == 12 and training.checkpoint.finished
        assert "cannot be used (Not a directory). Training goes on without checkpoints." in training.lines[0]
    assert (tmp_path / "file").read_text() == "the user's own"


def test_it_is_put_beside_a_callback_that_changes_the_logs_and_runs_after_it(tmp_path):
    class Adds(StatefulCallback):
        def on_epoch_end(self, epoch, logs=None):
            logs["added"] = 0.5

    training = Training(tmp_path, callbacks=lambda: [Adds()]).run(1)
    newest = sorted((tmp_path / "checkpoints").glob("checkpoint-*"))[0]
    assert json.loads((newest / "manifest.json").read_text())["about"]["logs"]["added"] == 0.5
    assert training.history.history["added"] == [0.5]


def test_a_second_fit_with_the_same_callback_begins_anew(tmp_path):
    training = Training(tmp_path).run(1)
    assert training.checkpoint.finished and training.checkpoint.resumed_from is None
    training.run(2)
    assert training.checkpoint.resumed_from is not None and min(training.steps.rows) == (0, 0)
    assert places(tmp_path)[-1] == (2, 0, True)


def test_print_is_to_standard_error(tmp_path, capsys):
    try:
        Training(tmp_path, at=(1, 0), announce=None).run()
    except CrashError:
        Training(tmp_path, announce=None).run(2)
    out, err = capsys.readouterr()
    assert out == "" and "training goes on in epoch 2 of 2.\n" in err
