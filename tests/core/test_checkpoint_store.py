import os
import shutil

import numpy as np
import pytest

from kerastrain._core import checkpoint_files
from kerastrain._core.checkpoint_store import CheckpointStore
from kerastrain._core.errors import WorkFailedError


def saved(store, *numbers, scores=None):
    for number in numbers:
        store.save(
            {"number": number, "array": np.full(3, number)}, {"epoch": number, "score": (scores or {}).get(number)}
        )


def names(store):
    return sorted(os.listdir(store.folder))


def found(store):
    """The number in the newest valid checkpoint, and the lines that were told."""
    lines = []
    got = store.newest_valid(lines.append)
    return (None if got is None else got[1]["number"]), lines


def flip(path, name="arrays.bin"):
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(content)


def test_an_empty_or_missing_folder_has_none(tmp_path):
    assert found(CheckpointStore(tmp_path / "none")) == (None, [])
    assert found(CheckpointStore(tmp_path)) == (None, [])
    assert CheckpointStore(tmp_path).paths() == []


def test_the_newest_is_found_with_its_facts(tmp_path):
    store = CheckpointStore(tmp_path / "a", keep_last=3)
    saved(store, 1, 2)
    path, state, about = store.newest_valid(lambda line: pytest.fail(line))
    assert path == tmp_path / "a" / "checkpoint-000002" and about["epoch"] == 2
    np.testing.assert_array_equal(state["array"], [2, 2, 2])


@pytest.mark.parametrize("keep_last", [1, 2, 5])
def test_the_last_ones_stay(tmp_path, keep_last):
    store = CheckpointStore(tmp_path, keep_last)
    saved(store, *range(1, 8))
    assert names(store) == [f"checkpoint-{number:06d}" for number in range(8 - keep_last, 8)]


def test_a_spare_one_stays_until_the_next_save(tmp_path):
    store = CheckpointStore(tmp_path, 1)
    saved(store, 1)
    store.save({}, {}, spare=1)
    assert names(store) == ["checkpoint-000001", "checkpoint-000002"]
    saved(store, 3)
    assert names(store) == ["checkpoint-000003"]


def test_the_best_stay_beside_the_last(tmp_path):
    store = CheckpointStore(tmp_path, keep_last=1, keep_best=2)
    scores = {1: 0.5, 2: 0.1, 3: 0.4, 4: 0.3, 5: None, 6: 0.9}
    saved(store, *range(1, 7), scores=scores)
    # The two smallest are those of 2 and 4; 6 is the last.
    assert names(store) == ["checkpoint-000002", "checkpoint-000004", "checkpoint-000006"]


def test_of_equal_ones_the_earlier_is_the_best(tmp_path):
    store = CheckpointStore(tmp_path, keep_last=1, keep_best=1)
    saved(store, 1, 2, 3, scores={1: 0.5, 2: 0.5, 3: 0.5})
    assert names(store) == ["checkpoint-000001", "checkpoint-000003"]


def test_a_damaged_one_is_set_aside_and_named(tmp_path):
    store = CheckpointStore(tmp_path, keep_last=3)
    saved(store, 1, 2, 3)
    flip(tmp_path / "checkpoint-000003")
    number, lines = found(store)
    assert number == 2 and len(lines) == 1
    assert lines[0].startswith(f"{tmp_path / 'checkpoint-000003'}: damaged: arrays.bin is not what was written")
    assert "set aside as damaged-000003" in lines[0]
    assert names(store) == ["checkpoint-000001", "checkpoint-000002", "damaged-000003"]
    assert store.aside() == [tmp_path / "damaged-000003"]
    assert found(store) == (2, [])


def test_its_number_is_not_used_again_and_it_is_never_removed(tmp_path):
    store = CheckpointStore(tmp_path, keep_last=1)
    saved(store, 1, 2)
    flip(tmp_path / "checkpoint-000002")
    with pytest.raises(WorkFailedError):
        found(store)
    saved(store, 3, 4)
    assert names(store) == ["checkpoint-000004", "damaged-000002"]


def test_the_last_valid_one_stays_while_the_newer_are_damaged(tmp_path):
    store = CheckpointStore(tmp_path, keep_last=4)
    saved(store, 1, 2, 3, 4)
    for number in (2, 3, 4):
        flip(tmp_path / f"checkpoint-{number:06d}", "state.json")
    assert found(store)[0] == 1
    assert names(store) == ["checkpoint-000001", *(f"damaged-00000{number}" for number in (2, 3, 4))]


def test_all_damaged_is_an_error_now_and_the_next_time(tmp_path):
    store = CheckpointStore(tmp_path, keep_last=3)
    saved(store, 1, 2, 3)
    for path in store.paths():
        flip(path, "manifest.json")
    for _ in range(2):
        with pytest.raises(WorkFailedError, match="all 3 checkpoints are damaged; nothing was trained"):
            found(store)


def test_one_that_is_not_wanted_is_passed_over(tmp_path):
    store = CheckpointStore(tmp_path, keep_last=3)
    saved(store, 1, 2, 3)
    path, _, _ = store.newest_valid(lambda line: pytest.fail(line), lambda about: about["epoch"] < 3)
    assert path.name == "checkpoint-000002"
    assert store.newest_valid(lambda line: pytest.fail(line), lambda about: False) is None
    assert len(store.paths()) == 3


def test_what_a_killed_writer_left_is_no_checkpoint_and_is_cleared(tmp_path):
    store = CheckpointStore(tmp_path, keep_last=3)
    saved(store, 1)
    for name in (".writing-checkpoint-000002", ".removing-checkpoint-000000"):
        shutil.copytree(tmp_path / "checkpoint-000001", tmp_path / name)
    (tmp_path / "notes.txt").write_text("the user's own")
    assert found(store) == (1, [])
    store.clear_leftovers()
    assert names(store) == ["checkpoint-000001", "notes.txt"]


def test_a_leftover_that_could_not_be_cleared_does_not_stop_the_next_save(tmp_path):
    store = CheckpointStore(tmp_path)
    (tmp_path / ".writing-checkpoint-000001").mkdir()
    (tmp_path / ".writing-checkpoint-000001" / "arrays.bin").write_bytes(b"half")
    saved(store, 1)
    assert found(store) == (1, []) and names(store) == ["checkpoint-000001"]


def test_numbers_beyond_six_digits_stay_in_order(tmp_path):
    store = CheckpointStore(tmp_path, keep_last=2)
    checkpoint_files.write(tmp_path / "checkpoint-999999", {"number": 1}, {})
    saved(store, 2, 3)
    assert names(store) == ["checkpoint-1000000", "checkpoint-1000001"]
    assert found(store)[0] == 3


def test_a_folder_that_is_below_a_file_has_none(tmp_path):
    (tmp_path / "file").write_text("")
    assert found(CheckpointStore(tmp_path / "file" / "checkpoints")) == (None, [])
