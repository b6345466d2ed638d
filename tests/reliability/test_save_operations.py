"""A save is there whole or not at all, whatever ends it at whichever of its file operations."""

import errno

import pytest
from faulty_os import FaultyOs, in_place
from store_cases import ERRORS, failed_in_a_save, found, killed_in_a_save, operations_of_a_save, prepared, state_of


def test_the_order_of_a_save_is_the_one_that_survives_a_loss_of_power(tmp_path):
    events = operations_of_a_save(tmp_path)
    parent, new = str(tmp_path), str(tmp_path / "checkpoint-000003")
    temporary = str(tmp_path / ".writing-checkpoint-000003")
    files = [f"{temporary}/{name}" for name in ("arrays.bin", "state.json", "manifest.json")]
    renamed = events.index(("rename", temporary, new))
    for path in files:
        written, synced = events.index(("write", path)), events.index(("fsync", path))
        assert events.index(("open", path)) < written < synced < events.index(("close", path)) < renamed
        # Nothing is written behind the sync.
        assert [event for event in events[synced:] if event == ("write", path)] == []
    # The names in the temporary directory, then the rename, then the name of it in its parent.
    named, durable = events.index(("fsync", temporary)), events.index(("fsync", parent))
    assert max(events.index(("fsync", path)) for path in files) < named < renamed < durable
    # Nothing of the old ones goes before the new one is durable.
    removed = [place for place, event in enumerate(events) if event[0] in ("unlink", "rmdir")]
    renames = [place for place, event in enumerate(events) if event[0] == "rename" and place != renamed]
    assert len(removed) == 4 and len(renames) == 1
    assert durable < renames[0] < min(removed)
    assert events[renames[0]][1:] == (f"{parent}/checkpoint-000001", f"{parent}/.removing-checkpoint-000001")


def test_the_injector_does_fail_and_the_count_of_operations_is_known(tmp_path):
    events = operations_of_a_save(tmp_path / "a")
    names = [name for name, *_ in events]
    # Three files and two directories are synced; one rename makes the new one, one takes the old one away.
    assert (names.count("write"), names.count("fsync"), names.count("rename")) == (3, 5, 2)
    store = prepared(tmp_path / "b")
    with in_place(FaultyOs(names.index("write") + 1, errno.EIO)), pytest.raises(OSError, match="Input/output error"):
        store.save(state_of(3), {})
    with in_place(FaultyOs(len(events) + 1)):
        store.save(state_of(3), {})
    assert found(store) == (3, [])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["kill", "half"])
def test_a_kill_at_every_operation_leaves_the_old_or_the_new(mode, tmp_path):
    events = operations_of_a_save(tmp_path / "none")
    results = [killed_in_a_save(tmp_path / str(number), number, mode) for number in range(1, len(events) + 1)]
    assert [(number, result) for number, result in enumerate(results, 1) if not result["ok"]] == []
    numbers = [result["found"] for result in results]
    renamed = next(place for place, event in enumerate(events) if event[0] == "rename")
    # Old until the rename, itself not yet done when the process is killed before it, and new behind it.
    assert numbers == [2] * (renamed + 1) + [3] * (len(events) - renamed - 1)


@pytest.mark.parametrize("count", [1, 10**6], ids=["once", "from then on"])
@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
def test_an_error_at_every_operation_loses_nothing_and_the_next_save_works(code, count, tmp_path):
    operations = len(operations_of_a_save(tmp_path / "none"))
    results = [failed_in_a_save(tmp_path / str(number), number, code, count) for number in range(1, operations + 1)]
    assert [(number, result) for number, result in enumerate(results, 1) if not result["ok"]] == []
    assert any(result["raised"] for result in results)
