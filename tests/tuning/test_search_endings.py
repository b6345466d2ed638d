"""How searches end before their last trial: failures, signals, budgets."""

import json
import os
import signal

import keras
import pytest
from small_searches import write

from kerastrain import experiments, tuning
from kerastrain._core.errors import WorkFailedError


def test_when_nothing_has_a_value_the_search_has_failed(tmp_path):
    space = {"optimizer.learning_rate": {"type": "float", "values": [1e30]}}
    path = write(tmp_path, space, search={"strategy": "grid", "max_trials": 1})
    for _ in range(2):
        with pytest.raises(WorkFailedError, match=r"of 1 trials, none has a finite val_loss \(ended by max_trials\)"):
            tuning.search(path, out=tmp_path / "out")


def test_a_failed_trial_is_recorded_and_three_in_a_row_end_the_search(tmp_path, monkeypatch, capfd, quick):
    calls = []

    def failing(recipe, data, **options):
        calls.append(recipe)
        if len(calls) != 2:
            raise MemoryError("no room\nfor it")

    monkeypatch.setattr(experiments, "build", failing)
    path = write(tmp_path, search={"strategy": "random", "max_trials": 9})
    with pytest.raises(WorkFailedError, match=r"three trials in a row failed, the last by MemoryError: no room for it"):
        tuning.search(path, out=tmp_path / "out")
    error = capfd.readouterr().err
    assert "Traceback" not in error and "Trial 1/9  failed: MemoryError: no room for it" in error
    summary = json.loads((tmp_path / "out" / "search.json").read_text())
    assert [trial["status"] for trial in summary["trials"]] == ["failed", "completed", *["failed"] * 3]
    assert summary["status"] == "failed"
    assert summary["best"]["number"] == 2


def test_the_disk_being_full_is_not_a_trials_failure(tmp_path, quick):
    def full(record):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        tuning.search(write(tmp_path), out=tmp_path / "out", on_trial=full)


@pytest.mark.slow
def test_a_signal_during_a_trial_keeps_what_is_recorded(tmp_path, monkeypatch):
    fit, calls = experiments.fit, []

    class Terminate(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGTERM)

    def interrupted(recipe, model, data, callbacks, **options):
        calls.append(recipe)
        return fit(recipe, model, data, callbacks=[*callbacks, *([Terminate()] if len(calls) == 2 else [])], **options)

    path = write(tmp_path)
    monkeypatch.setattr(experiments, "fit", interrupted)
    result = tuning.search(path, out=tmp_path / "out")
    assert (result.status, result.ended_by, len(result.trials)) == ("interrupted", "SIGTERM", 1)
    assert result.stopped == "SIGTERM"
    assert experiments.load(result.best_recipe_path).hash() == calls[0].hash()
    assert tuning.search(path, out=tmp_path / "out").status == "finished"


def test_ctrl_c_between_trials(tmp_path, quick):
    def stop(record):
        raise KeyboardInterrupt

    result = tuning.search(write(tmp_path), out=tmp_path / "out", on_trial=stop)
    assert (result.status, result.ended_by, len(result.trials)) == ("interrupted", "SIGINT", 1)


def test_the_wall_clock_starts_no_new_trial(tmp_path, monkeypatch, quick):
    now = [0.0]
    monkeypatch.setattr("kerastrain.tuning.tuner.time.monotonic", lambda: now[0])

    def tick(record):
        now[0] += 40.0

    search = {"strategy": "random", "max_trials": 9}
    result = tuning.search(
        write(tmp_path, search=search, budget={"wall_clock": "1m"}), out=tmp_path / "out", on_trial=tick
    )
    assert (result.status, result.ended_by, len(result.trials)) == ("finished", "wall_clock", 2)
