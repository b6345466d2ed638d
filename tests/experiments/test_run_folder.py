import multiprocessing
import os
import pathlib

import pytest

from kerastrain._core.errors import RefusedError
from kerastrain.experiments import RunFolder

PLAIN = {"name": "a", "training": {"seed": 0}}
YAML = "name: a\ntraining: {seed: 0}\n"


def opened(path, plain=PLAIN, overwrite=False):
    folder = RunFolder(path)
    with folder.locked():
        finished = folder.finished(plain, overwrite=overwrite)
        if finished is None:
            folder.begin(YAML)
        return finished


def test_a_new_folder_gets_the_recipe(tmp_path):
    assert opened(tmp_path / "new" / "run") is None
    assert (tmp_path / "new" / "run" / "recipe.yaml").read_text() == YAML


def test_an_empty_folder_will_do(tmp_path):
    assert opened(tmp_path) is None


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path, overwrite):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RefusedError, match=r"has no recipe.yaml \(it holds `thesis.txt`\)"):
        opened(tmp_path, overwrite=overwrite)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_unfinished_finished_and_another(tmp_path):
    opened(tmp_path)
    for status in (None, '{"status": "interrupted"}'):
        if status is not None:
            (tmp_path / "result.json").write_text(status)
        with RunFolder(tmp_path).locked():
            assert RunFolder(tmp_path).finished({"name": "a", "training": {"seed": 0}}, overwrite=False) is None
            assert RunFolder(tmp_path).begun()
    (tmp_path / "result.json").write_text('{"status": "finished", "x": 1}')
    assert opened(tmp_path) == {"status": "finished", "x": 1}
    with pytest.raises(RefusedError, match=r"training\.seed: 0 -> 1"):
        opened(tmp_path, {"name": "a", "training": {"seed": 1}})
    assert opened(tmp_path, overwrite=True) is None
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("damaged", ["", "{", "[]", "3", "\x00", '{"status": ['])
def test_a_damaged_result_is_refused(tmp_path, damaged):
    opened(tmp_path)
    (tmp_path / "result.json").write_text(damaged)
    with pytest.raises(RefusedError, match="--overwrite"):
        opened(tmp_path)
    assert opened(tmp_path, overwrite=True) is None


@pytest.mark.parametrize("damaged", ["", "a: [", "- 1\n", "name: b\n"])
def test_a_damaged_recipe_is_refused(tmp_path, damaged):
    (tmp_path / "recipe.yaml").write_text(damaged)
    with pytest.raises(RefusedError):
        opened(tmp_path)
    assert opened(tmp_path, overwrite=True) is None


def test_a_path_that_cannot_be_a_folder(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below", pathlib.Path("/proc/nothing"), tmp_path / ("x" * 300)):
        with pytest.raises(RefusedError, match="cannot be used"), RunFolder(path).locked():
            pass


def _hold(path, held, done):
    with RunFolder(path).locked():
        held.set()
        done.wait(20)


def test_two_processes_cannot_hold_one_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, held, done))
    other.start()
    try:
        assert held.wait(20)
        with pytest.raises(RefusedError, match="in use by another process"), RunFolder(tmp_path).locked():
            pass
    finally:
        done.set()
        other.join()
    with RunFolder(tmp_path).locked():
        pass


def test_a_link_to_a_folder_elsewhere_is_not_followed_when_it_is_cleared(tmp_path):
    opened(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("")
    os.symlink(tmp_path / "elsewhere", tmp_path / "run" / "logs")
    opened(tmp_path / "run", overwrite=True)
    assert (tmp_path / "elsewhere" / "kept").exists()
