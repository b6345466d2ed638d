"""Faults of one save and of the files of a checkpoint; no training, so thousands of them are quick."""

import errno
import itertools
import json
import os
import pathlib
import random
import shutil

import numpy as np
from faulty_os import FaultyOs, in_place

from kerastrain._core import checkpoint_files
from kerastrain._core.checkpoint_store import CheckpointStore
from kerastrain._core.errors import WorkFailedError

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
FILES = ("arrays.bin", "state.json", "manifest.json")


def state_of(number):
    """What checkpoint `number` of these cases holds."""
    return {"number": number, "weights": [np.full((40, 7), number, np.float32), np.arange(number)], "text": "é"}


def same(state, number):
    expected = state_of(number)
    arrays = zip(state["weights"], expected["weights"], strict=True)
    return (state["number"], state["text"]) == (number, "é") and all(
        one.dtype == other.dtype and one.tobytes() == other.tobytes() for one, other in arrays
    )


def prepared(folder):
    """A store that keeps two, with the checkpoints 1 and 2: the next save writes one and removes one."""
    store = CheckpointStore(pathlib.Path(folder), keep_last=2, keep_best=1)
    for number in (1, 2):
        store.save(state_of(number), {"score": float(number)})
    store.keep_best = 0
    return store


def operations_of_a_save(folder):
    """The events of one save without a fault."""
    store = prepared(folder)
    with in_place(FaultyOs()) as shim:
        store.save(state_of(3), {"score": 3.0})
    return shim.events


def found(store):
    """The number of the newest valid checkpoint, all of it right, and what was told."""
    told = []
    got = store.newest_valid(told.append)
    assert got is not None and same(got[1], got[1]["number"]), "a checkpoint that is not what was written was loaded"
    return got[1]["number"], told


def killed_in_a_save(folder, operation, mode):
    """SIGKILL at one operation of the third save; the number that is found afterwards."""
    store = prepared(folder)
    pid = os.fork()
    if pid == 0:
        try:
            with in_place(FaultyOs(operation, mode)):
                store.save(state_of(3), {"score": 3.0})
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    number, told = found(store)
    store.clear_leftovers()
    store.save(state_of(4), {"score": 4.0})
    after, told_after = found(store)
    left = sorted(path.name for path in store.folder.iterdir())
    return {
        "killed": status == -9,
        "found": number,
        "told": told + told_after,
        "after": after,
        "left": left,
        "ok": status == -9 and number in (2, 3) and not told + told_after and after == 4 and len(left) == 2,
    }


def failed_in_a_save(folder, operation, code, count):
    """An OSError at one operation of the third save, and at those behind it; the number that is found afterwards."""
    store, raised = prepared(folder), False
    with in_place(FaultyOs(operation, code, count)):
        try:
            store.save(state_of(3), {"score": 3.0})
        except OSError as error:
            raised = error.errno == code
            assert raised
    number, told = found(store)
    store.save(state_of(4), {"score": 4.0})
    after, told_after = found(store)
    ok = (number == 3 or (raised and number == 2)) and not told + told_after and after == 4
    return {"raised": raised, "found": number, "told": told + told_after, "after": after, "ok": ok}


KINDS = ("flip", "truncation", "zero page", "zero bytes")


def damaged(path, kind, generator):
    """Damage a file so that its content does change; what was done."""
    content = bytearray(path.read_bytes())
    if kind == "flip":
        bit = generator.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        what = f"bit {bit}"
    elif kind == "truncation":
        length = generator.randrange(len(content))
        del content[length:]
        what = f"{length} bytes left"
    elif kind == "zero page":
        size = min(512, len(content))
        starts = [start for start in range(0, len(content), size) if any(content[start : start + size])]
        start = generator.choice(starts)
        size = min(size, len(content) - start)
        content[start : start + size] = bytes(size)
        what = f"{size} bytes of 0 at {start}"
    else:
        content.clear()
        what = "nothing left"
    assert bytes(content) != path.read_bytes()
    path.write_bytes(content)
    return what


def detected(source, folder, kind, seed):
    """Damage one file of the newest of two checkpoints; the one before it must be used, the file named, the damaged
    one set aside whole.

    Args:
        source: the folder of checkpoints; it is copied.
        folder: for the copy.
        kind: one of KINDS.
        seed: of file and place.
    """
    generator = random.Random(f"{kind} {seed}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    store = CheckpointStore(folder, keep_last=2)
    older, newest = store.paths()[-2:]
    expected, _ = checkpoint_files.read(older)
    name = FILES[seed % len(FILES)]
    what = damaged(newest / name, kind, generator)
    told = []
    got = store.newest_valid(told.append)
    aside = newest.with_name(newest.name.replace("checkpoint", "damaged"))
    ok = (
        got is not None
        and got[0] == older
        and comparable(got[1]) == comparable(expected)
        and len(told) == 1
        and told[0].startswith(f"{newest}: damaged: {name} ")
        and sorted(path.name for path in aside.iterdir()) == sorted(FILES)
    )
    return {"file": name, "what": what, "told": told, "ok": ok}


def all_detected(source, folder, seed):
    """Damage every checkpoint; nothing must be loaded, now and the next time."""
    generator = random.Random(f"all {seed}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    store = CheckpointStore(folder)
    for path in store.paths():
        damaged(path / generator.choice(FILES), generator.choice(KINDS), generator)
    refused = 0
    for _ in range(2):
        try:
            store.newest_valid(lambda line: None)
        except WorkFailedError as error:
            refused += "checkpoints are damaged; nothing was trained" in str(error)
    return {"ok": refused == 2}


def comparable(value):
    """A state as text, arrays by their bytes."""
    return json.dumps(value, default=lambda item: [str(item.dtype), list(item.shape), item.tobytes().hex()])


def save_faults(count):
    """The faults of one save that has `count` operations: each way to die and to fail, at each operation."""
    kills = [("kill", operation, mode, None) for operation in range(1, count + 1) for mode in ("kill", "half")]
    failures = itertools.product(("fail",), range(1, count + 1), ERRORS, (1, 10**6))
    return [*kills, *failures]
