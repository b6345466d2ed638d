import os
import signal
import stat
import subprocess
import sys

import pytest

from kerastrain._core import atomic_files


def test_the_file_is_there_whole_and_readable(tmp_path):
    path = tmp_path / "new" / "a.json"
    atomic_files.write_json(path, {"é": 1})
    assert path.read_text(encoding="utf-8").endswith("\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == ["a.json"]


def test_the_temporary_file_has_the_suffix_that_writers_go_by(tmp_path):
    with atomic_files.replacing(tmp_path / "model.keras") as temporary:
        assert temporary.suffix == ".keras" and temporary.parent == tmp_path
        temporary.write_bytes(b"1")
    assert (tmp_path / "model.keras").read_bytes() == b"1"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_no_litter(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_files.replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_json_that_is_not_strict_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.json"
    atomic_files.write_json(path, 1)
    for bad in (float("nan"), float("inf"), object()):
        with pytest.raises((ValueError, TypeError)):
            atomic_files.write_json(path, bad)
    assert path.read_text() == "1\n"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, pathlib, signal, sys\n"
        "from kerastrain._core.atomic_files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
