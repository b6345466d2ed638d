"""Trainings that a callback or a signal stops, and what comes after."""

import os
import signal

import keras
import pytest
from training_probes import STEPS, CrashError, Training, alike

from kerastrain.callbacks import EarlyStopping, StatefulCallback


def test_what_early_stopping_ended_is_ended(tmp_path):
    def callbacks():
        return [keras.callbacks.EarlyStopping("loss", min_delta=100.0, patience=1, restore_best_weights=True)]

    # The first epoch is the best for ever, so that the second ends the training.
    first = Training(tmp_path, callbacks=callbacks).run(9)
    assert first.history.epoch == [0, 1]
    again = Training(tmp_path, callbacks=callbacks).run(9)
    assert again.steps.rows == {} and again.checkpoint.finished
    alike(again, first)


@pytest.mark.parametrize("kind", [keras.callbacks.EarlyStopping, EarlyStopping], ids=["keras", "ours"])
def test_a_crash_between_the_wish_to_stop_and_the_end_trains_no_epoch_more(kind, tmp_path):
    def callbacks():
        return [kind("loss", min_delta=100.0, patience=1, restore_best_weights=True), Fails(tmp_path / "fail")]

    whole = Training(tmp_path / "whole", callbacks=callbacks).run(9)
    (tmp_path / "fail").touch()
    with pytest.raises(CrashError):
        Training(tmp_path / "cut", callbacks=callbacks).run(9)
    (tmp_path / "fail").unlink()
    resumed = Training(tmp_path / "cut", callbacks=callbacks).run(9)
    assert resumed.steps.rows == {} and resumed.history.epoch == [0, 1]
    alike(resumed, whole)
    assert Training(tmp_path / "cut", callbacks=callbacks).run(9).checkpoint.finished


class Fails(StatefulCallback):
    """Fails at the end of `fit` while there is a file."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_end(self, logs=None):
        if self.path.exists():
            raise CrashError


class StopsAt(StatefulCallback):
    """Ends the training in the middle of an epoch, as TerminateOnNaN and a budget of time do."""

    state_names = ("left",)

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        self.model.stop_training = self.left == 0


@pytest.mark.backend
def test_a_crash_after_the_wish_to_stop_within_an_epoch(tmp_path):
    def callbacks():
        return [StopsAt(3)]

    whole = Training(tmp_path / "whole", callbacks=callbacks, every_steps=1).run()
    assert len(whole.steps.rows) == 3
    Training(tmp_path / "cut", callbacks=callbacks, every_steps=1, at=(0, "end")).crashes()
    resumed = Training(tmp_path / "cut", callbacks=callbacks, every_steps=1).run()
    assert resumed.history.epoch == [0] and max(resumed.steps.rows) == (0, 2)
    alike(resumed, whole)


class Infinite(StatefulCallback):
    """Says at a step that the loss is infinite; the weights are what they are."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at:
            logs["loss"] = float("inf")


@pytest.mark.parametrize("at", [3, STEPS - 1], ids=["within an epoch", "in its last step"])
def test_what_terminate_on_nan_has_ended_is_not_finished(at, tmp_path):
    def callbacks(at):
        return lambda: [Infinite(at), keras.callbacks.TerminateOnNaN()]

    ended = Training(tmp_path, callbacks=callbacks(at)).run(2)
    assert max(ended.steps.rows) == (0, at) and not ended.checkpoint.finished
    assert "TerminateOnNaN has ended the training in epoch 1, so it is not finished" in ended.lines[-1]
    again = Training(tmp_path, callbacks=callbacks(None)).run(2)
    assert again.checkpoint.finished and min(again.steps.rows) == (0, 0) and len(again.steps.rows) == 2 * STEPS


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), [("SIGTERM", (1, 2)), ("SIGINT", (1, STEPS - 1))])
def test_a_signal_stops_behind_the_step_and_the_next_goes_on(name, place, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    whole = Training(tmp_path / "whole").run()
    stopped = Training(
        tmp_path / "cut", at=place, act=lambda: os.kill(os.getpid(), signal.Signals[name]), on_signal="stop"
    ).run()
    assert stopped.checkpoint.stopped == name and not stopped.checkpoint.finished
    assert max(stopped.steps.rows) == place
    assert any(f"stopped by {name}; the same command continues from here" in line for line in stopped.lines)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    resumed = Training(tmp_path / "cut").run()
    assert min(resumed.steps.rows) == ((1, 3) if place == (1, 2) else (2, 0))
    assert stopped.steps.rows | resumed.steps.rows == whole.steps.rows
    alike(resumed, whole)


@pytest.mark.backend
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_leaves_the_process_with_its_code(name, code, tmp_path):
    cut = Training(tmp_path, at=(0, 1), act=lambda: os.kill(os.getpid(), signal.Signals[name]))
    with pytest.raises(SystemExit) as found:
        cut.run()
    assert found.value.code == code
    assert min(Training(tmp_path).run().steps.rows) == (0, 2)
