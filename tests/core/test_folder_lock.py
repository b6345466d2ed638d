import os
import signal
import subprocess
import sys
import threading

import pytest

from kerastrain._core import folder_lock
from kerastrain._core.errors import RefusedError
from kerastrain._core.folder_lock import UnusableFolderError

HOLD = (
    "import sys, time, pathlib\n"
    "from kerastrain._core.folder_lock import locked\n"
    "with locked(pathlib.Path(sys.argv[1]), argument='out', remedy='Wait.'):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


def held(folder):
    return folder_lock.locked(folder, argument="out", remedy="Wait for it.")


def test_the_folder_is_made_and_the_lock_file_goes(tmp_path):
    folder = tmp_path / "a" / "b"
    with held(folder):
        assert os.listdir(folder) == [".lock"]
    assert os.listdir(folder) == []
    with held(folder):
        pass


def test_the_second_is_refused_and_the_first_still_holds(tmp_path):
    with held(tmp_path):
        for _ in range(2):
            with pytest.raises(RefusedError, match=r"in use by another process. Wait for it."), held(tmp_path):
                pass
    with held(tmp_path):
        pass


def test_it_is_let_go_of_after_an_exception(tmp_path):
    with pytest.raises(KeyboardInterrupt), held(tmp_path):
        raise KeyboardInterrupt
    with held(tmp_path):
        pass


def test_another_process_holds_it_until_it_is_killed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RefusedError, match="in use"), held(tmp_path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert os.listdir(tmp_path) == [".lock"]
    with held(tmp_path):
        pass


def test_of_many_at_once_never_two_hold_it(tmp_path):
    inside, most, entered = [], [], []

    def enter():
        for _ in range(200):
            try:
                with held(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    entered.append(1)
                    inside.pop()
            except RefusedError:
                continue

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1} and len(entered) > 20


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_used_says_why(tmp_path, place):
    (tmp_path / "file").write_text("")
    message = r"`out`: .*file.* cannot be used \((Not a directory|File exists)\)"
    with pytest.raises(UnusableFolderError, match=message), held(tmp_path / place):
        pass
