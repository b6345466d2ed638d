import hashlib
import json
import math
import os

import ml_dtypes
import numpy as np
import pytest

from kerastrain._core import checkpoint_files
from kerastrain._core.checkpoint_files import DamagedError

STATE = {
    "none": None,
    "flags": [True, False],
    "numbers": [0, -3, 2**70, 0.1, -0.0, 5e-324, 1.7976931348623157e308],
    "odd": [math.inf, -math.inf],
    "text": 'é " \\ \n \U0001f600',
    "nested": {"weights": [np.arange(6, dtype=np.float32).reshape(2, 3)], "empty": [], "nothing": {}},
}
ARRAYS = [
    np.array([[1.5, -0.0, np.nan, np.inf]], np.float32),
    np.array([1 / 3, 5e-324]),
    np.array([1.0, 65504.0], np.float16),
    np.array([1.0, 3.140625], ml_dtypes.bfloat16),
    np.array([-128, 127], np.int8),
    np.array([0, 2**64 - 1], np.uint64),
    np.array([True, False]),
    np.array(7, np.int64),
    np.zeros((0, 3), np.float32),
    np.array([1 + 2j]),
]


def bits(value):
    """A value in a form in which nothing that differs is equal, NaN and the sign of 0 included."""
    if isinstance(value, np.ndarray):
        return (value.dtype.name, value.shape, value.tobytes())
    if isinstance(value, list):
        return [bits(item) for item in value]
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return (type(value), repr(value))


def written(folder, state=STATE, about=None):
    path = folder / "checkpoint-000001"
    checkpoint_files.write(path, state, about or {"epoch": 3})
    return path


def sealed(path, change):
    """Change the manifest and make its own checksum right again, as somebody with bad intentions would."""
    manifest = json.loads((path / "manifest.json").read_bytes())
    change(manifest)
    manifest.pop("sha256")

    def text(value):
        return (json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n").encode()

    manifest["sha256"] = hashlib.sha256(text(manifest)).hexdigest()
    (path / "manifest.json").write_bytes(text(manifest))


def test_what_is_written_comes_back_to_the_bit(tmp_path):
    state, about = checkpoint_files.read(written(tmp_path))
    assert bits(state) == bits(STATE) and about == {"epoch": 3}
    assert os.listdir(tmp_path) == ["checkpoint-000001"]
    assert sorted(os.listdir(tmp_path / "checkpoint-000001")) == ["arrays.bin", "manifest.json", "state.json"]


def test_nan_comes_back(tmp_path):
    state, _ = checkpoint_files.read(written(tmp_path, {"value": math.nan}))
    assert math.isnan(state["value"])


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: array.dtype.name)
def test_arrays_of_every_kind_come_back_to_the_bit(tmp_path, array):
    state, _ = checkpoint_files.read(written(tmp_path, [np.zeros(3, np.int8), array]))
    assert bits(state[1]) == bits(array)
    assert state[1].flags.writeable


def test_arrays_are_read_as_the_numbers_they_are_whatever_their_order_in_memory(tmp_path):
    values = np.arange(6).reshape(2, 3)
    given = [values.T, values[:, ::2], np.asfortranarray(values), values.astype(">i4"), np.float32(0.5)]
    state, _ = checkpoint_files.read(written(tmp_path, given))
    for array, expected in zip(state, given, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_tuples_come_back_as_lists(tmp_path):
    state, _ = checkpoint_files.read(written(tmp_path, {"pair": (1, (2,))}))
    assert state == {"pair": [1, [2]]}


@pytest.mark.parametrize(
    "state",
    [
        {1: "number"},
        {"__array__": 0},
        {"__float__": "1"},
        object(),
        {1, 2},
        b"bytes",
        np.array([object()]),
        np.array(["text"]),
        np.zeros(1, [("a", "i4"), ("b", "f4")]),
    ],
    ids=["key", "array", "float", "object", "set", "bytes", "objects", "text", "structure"],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path, state):
    with pytest.raises(TypeError, match=r"a checkpoint('s dictionaries)? h(olds|ave)"):
        written(tmp_path, {"state": state})
    assert os.listdir(tmp_path) == []


def test_the_manifest_says_what_is_there_and_needs_no_arrays(tmp_path):
    path = written(tmp_path)
    manifest = checkpoint_files.read_manifest(path)
    assert manifest["schema"] == 1 and manifest["about"] == {"epoch": 3}
    for name in ("arrays.bin", "state.json"):
        content = (path / name).read_bytes()
        assert manifest["files"][name] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / "arrays.bin").unlink()
    assert checkpoint_files.read_manifest(path) == manifest


@pytest.mark.parametrize("name", ["arrays.bin", "state.json", "manifest.json"])
def test_a_missing_file_is_named(tmp_path, name):
    path = written(tmp_path)
    (path / name).unlink()
    with pytest.raises(DamagedError, match=f"{name} cannot be read"):
        checkpoint_files.read(path)


@pytest.mark.parametrize("name", ["arrays.bin", "state.json"])
def test_a_file_of_another_length_or_content_is_named(tmp_path, name):
    path = written(tmp_path)
    content = (path / name).read_bytes()
    for damaged, message in ((content[:-1], "bytes instead of"), (content + b"\n", "bytes instead of")):
        (path / name).write_bytes(damaged)
        with pytest.raises(DamagedError, match=f"{name} has .* {message}"):
            checkpoint_files.read(path)
    (path / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(DamagedError, match=f"{name} is not what was written"):
        checkpoint_files.read(path)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"3", b"{}", b"\xff", b'{"sha256": 1}', b"[" * 100_000])
def test_a_manifest_that_is_none(tmp_path, content):
    path = written(tmp_path)
    (path / "manifest.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"manifest.json"):
        checkpoint_files.read(path)


def test_white_space_in_the_manifest_is_damage_too(tmp_path):
    path = written(tmp_path)
    content = (path / "manifest.json").read_bytes()
    (path / "manifest.json").write_bytes(content.replace(b":", b": ", 1))
    with pytest.raises(DamagedError, match="is not what was written"):
        checkpoint_files.read(path)


def test_another_schema_and_other_files_are_refused(tmp_path):
    path = written(tmp_path)
    sealed(path, lambda manifest: manifest.update(schema=2))
    with pytest.raises(DamagedError, match="has schema 2, and this version reads 1"):
        checkpoint_files.read(path)
    sealed(path, lambda manifest: manifest.update(schema=1, files={"../../secret": manifest["files"]["state.json"]}))
    with pytest.raises(DamagedError, match="names other files"):
        checkpoint_files.read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "object"},
        {"dtype": "float64"},
        {"dtype": "no_such"},
        {"shape": [10**9]},
        {"shape": [-2, -3]},
        {"offset": -64},
        {"offset": 10**6},
        {"bytes": 8},
    ],
    ids=str,
)
def test_an_index_that_does_not_fit_reads_no_array(tmp_path, change):
    path = written(tmp_path)
    state = json.loads((path / "state.json").read_bytes())
    state["arrays"][0].update(change)
    content = json.dumps(state).encode()
    (path / "state.json").write_bytes(content)
    facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    sealed(path, lambda manifest: manifest["files"].update({"state.json": facts}))
    with pytest.raises(DamagedError, match=r"state.json cannot be read"):
        checkpoint_files.read(path)


def test_a_checkpoint_is_never_written_over(tmp_path):
    path = written(tmp_path)
    with pytest.raises(OSError):
        checkpoint_files.write(path, {"other": 1}, {})
    assert bits(checkpoint_files.read(path)[0]) == bits(STATE)
    assert os.listdir(tmp_path) == ["checkpoint-000001"]
