"""A checkpoint folder belongs to one training at a time."""

import subprocess
import sys

import keras
import pytest
from training_probes import Training

from kerastrain._core import folder_lock
from kerastrain._core.errors import InputError, RefusedError
from kerastrain.callbacks import ResumableCheckpoint


def test_a_second_process_is_refused(tmp_path):
    code = (
        "import sys, pathlib, time\n"
        "from kerastrain._core.folder_lock import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), argument='folder', remedy=''):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "checkpoints")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        training = Training(tmp_path)
        with pytest.raises(RefusedError, match=r"in use by another process. Two trainings need two folders"):
            training.run()
        other.kill()
    assert training.steps.rows == {}


def test_the_folder_is_held_during_the_training_and_let_go_of_afterwards(tmp_path):
    def enter():
        return folder_lock.locked(tmp_path / "checkpoints", argument="", remedy="")

    def look():
        with pytest.raises(RefusedError), enter():
            pass
        looked.append(True)

    looked = []
    Training(tmp_path, at=(0, 1), act=look).run(1)
    assert looked == [True]
    with enter():
        pass


def test_a_training_that_an_exception_ended_holds_nothing_for_the_next(tmp_path):
    # Not even while something, such as a traceback in a notebook, keeps hold of it.
    kept = Training(tmp_path, at=(0, 2)).crashes()
    assert Training(tmp_path).run(1).checkpoint.finished
    assert kept.checkpoint.finished is False


def test_one_within_anothers_training_does_not_let_go_of_it(tmp_path):
    def within():
        Training(tmp_path / "inner").run(1)
        with pytest.raises(RefusedError, match="in use by another process"):
            Training(tmp_path / "outer").run(1)
        done.append(True)

    done = []
    Training(tmp_path / "outer", at=(0, 1), act=within).run(1)
    assert done == [True]


@pytest.mark.parametrize("kind", ["ResumableCheckpoint", "BackupAndRestore"])
def test_two_that_resume_are_refused(kind, tmp_path):
    def callbacks():
        if kind == "BackupAndRestore":
            return [keras.callbacks.BackupAndRestore(tmp_path / "backup")]
        return [ResumableCheckpoint(tmp_path / "other")]

    training = Training(tmp_path / "one", callbacks=callbacks)
    with pytest.raises(
        InputError,
        match=f"one callback that resumes the training. Received: two, a ResumableCheckpoint and a {kind}. Leave",
    ):
        training.run()
    assert training.steps.rows == {}
