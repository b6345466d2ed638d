"""Damaged files: one InputError line, or valid arrays (a flipped pixel cannot be told); never anything else."""

import pathlib

import numpy as np
import pytest

from kerastrain import datasets
from kerastrain._core.errors import InputError

KINDS = {
    "npz": lambda tiny, path: tiny.npz(path / "data.npz"),
    "compressed_npz": lambda tiny, path: tiny.npz(path / "data.npz", compressed=True),
    "python_archive": lambda tiny, path: tiny.archive(path / "cifar.tar.gz", "python"),
    "binary_archive": lambda tiny, path: tiny.archive(path / "cifar.tar.gz", "binary"),
    "python_batches": lambda tiny, path: tiny.batch_folder(path / "batches", "python"),
    "binary_batches": lambda tiny, path: tiny.batch_folder(path / "batches", "binary"),
    "png_folder": lambda tiny, path: tiny.image_folder(path / "images"),
    "jpg_folder": lambda tiny, path: tiny.image_folder(path / "images", "jpg"),
    "bmp_folder": lambda tiny, path: tiny.image_folder(path / "images", "bmp"),
}


def truncated(content: bytearray, generator: np.random.Generator) -> bytes:
    return bytes(content[: generator.integers(0, len(content))])


def flipped(content: bytearray, generator: np.random.Generator) -> bytes:
    for _ in range(int(generator.integers(1, 9))):
        content[generator.integers(0, len(content))] ^= 1 << generator.integers(0, 8)
    return bytes(content)


def flipped_near_an_end(content: bytearray, generator: np.random.Generator) -> bytes:
    """Headers and directories are there."""
    place = int(generator.integers(0, min(400, len(content))))
    content[place if generator.integers(0, 2) else len(content) - 1 - place] ^= 1 << generator.integers(0, 8)
    return bytes(content)


def zeroed(content: bytearray, generator: np.random.Generator) -> bytes:
    start = int(generator.integers(0, len(content)))
    content[start : start + 512] = bytes(len(content[start : start + 512]))
    return bytes(content)


def replaced(content: bytearray, generator: np.random.Generator) -> bytes:
    return [b"", generator.bytes(1000), b"\x1f\x8b", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n"][generator.integers(0, 5)]


DAMAGES = (truncated, flipped, flipped_near_an_end, zeroed, replaced)


def damage_one_file(source: pathlib.Path, damage, generator: np.random.Generator) -> None:
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    file = files[generator.integers(0, len(files))]
    file.write_bytes(damage(bytearray(file.read_bytes()), generator))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_one_error_line_or_valid_arrays(tiny, tmp_path, kind, damage, seed):
    source = KINDS[kind](tiny, tmp_path)
    damage_one_file(source, damage, np.random.default_rng([seed, list(KINDS).index(kind), DAMAGES.index(damage)]))
    try:
        data = datasets.load(source)
    except InputError as error:
        assert "\n" not in str(error)
        assert str(source) in str(error)
        assert len(str(error)) < 1000
        return
    for images, labels in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert images.dtype == np.uint8
        assert images.ndim == 4
        assert len(images) == len(labels) > 0
        assert set(labels.tolist()) <= set(range(data.classes))


@pytest.mark.parametrize("kind", KINDS)
def test_undamaged_sources_load(tiny, tmp_path, kind):
    data = datasets.load(KINDS[kind](tiny, tmp_path))
    assert data.x_train.shape == (20, 32, 32, 3)
    assert data.x_test.shape == (10, 32, 32, 3)
    if "folder" in kind:  # sorted by class: two training images of each
        np.testing.assert_array_equal(data.y_train, np.repeat(np.arange(10), 2))
    else:
        np.testing.assert_array_equal(data.x_train, tiny.x_train)
        np.testing.assert_array_equal(data.y_train, tiny.y_train)
        np.testing.assert_array_equal(data.y_test, tiny.y_test)


WRONG_FIELDS = {
    "float_0_1": ({"x_train": np.zeros((20, 8, 8, 3), np.float32)}, r"`x_train`.*uint8.*float32 in \[0, 0\].*\* 255"),
    "float_0_255": ({"x_train": np.full((20, 8, 8, 3), 200.0)}, r"`x_train`.*uint8.*\[200, 200\].*np.round\(images\)"),
    "nan_pixels": ({"x_train": np.full((20, 8, 8, 3), np.nan)}, r"`x_train`.*NaN"),
    "int64_pixels": ({"x_train": np.zeros((20, 8, 8, 3), np.int64)}, r"`x_train`.*uint8.*int64"),
    "bool_pixels": ({"x_test": np.zeros((10, 32, 32, 3), bool)}, r"`x_test`.*uint8.*bool"),
    "text_pixels": ({"x_train": np.array(["a"] * 20)}, r"`x_train`.*uint8"),
    "two_dimensions": ({"x_train": np.zeros((20, 3072), np.uint8)}, r"`x_train`.*shape \(20, 3072\)"),
    "five_dimensions": ({"x_train": np.zeros((20, 1, 8, 8, 3), np.uint8)}, r"`x_train`.*shape"),
    "scalar": ({"x_train": np.uint8(3)}, r"`x_train`.*shape \(\)"),
    "channels_first": ({"x_train": np.zeros((20, 3, 8, 8), np.uint8)}, r"`x_train`.*moveaxis"),
    "four_channels": ({"x_train": np.zeros((20, 8, 8, 4), np.uint8)}, r"`x_train`.*red, green and blue"),
    "no_images": ({"x_train": np.zeros((0, 8, 8, 3), np.uint8)}, r"`x_train`.*at least one image"),
    "no_height": ({"x_train": np.zeros((20, 0, 8, 3), np.uint8)}, r"`x_train`.*at least one image"),
    "objects": ({"x_train": np.array([None, {}], object)}, r"`x_train`.*Python objects.*pickles are not read"),
    "other_test_shape": ({"x_test": np.zeros((10, 8, 8, 3), np.uint8)}, r"`x_test`.*\(32, 32, 3\)"),
    "float_labels": ({"y_train": np.zeros(20)}, r"`y_train`.*integer.*float64"),
    "nan_labels": ({"y_train": np.full(20, np.nan)}, r"`y_train`.*NaN"),
    "one_hot_labels": ({"y_train": np.eye(20, 10, dtype=np.int64)}, r"`y_train`.*argmax"),
    "negative_labels": ({"y_train": np.arange(20) - 1}, r"`y_train`.*from -1 to 18"),
    "huge_labels": ({"y_train": np.full(20, 2**63, np.uint64)}, r"`y_train`.*9223372036854775808"),
    "gap_in_labels": ({"y_train": np.arange(20) % 10 * 2}, r"`y_train`.*no image of class 1"),
    "one_class": ({"y_train": np.zeros(20, np.int64)}, r"`y_train`.*two classes"),
    "too_few_labels": ({"y_train": np.arange(19) % 10}, r"`y_train`.*\(20\).*19 labels"),
    "test_label_out_of_range": ({"y_test": np.arange(10) + 1}, r"`y_test`.*0 to 9.*label 10 at index 9"),
    "no_x_train": ({"x_train": None}, r"`x_train`.*the fields x_test, y_test, y_train"),
    "no_y_test": ({"y_test": None}, r"`y_test`.*the fields"),
    "both_names": ({"x": np.zeros((2, 8, 8), np.uint8)}, r"either `x` and `y`"),
}


@pytest.mark.parametrize("changes, message", WRONG_FIELDS.values(), ids=WRONG_FIELDS.keys())
def test_a_wrong_field_is_named_with_what_was_expected(tiny, tmp_path, changes, message):
    path = tiny.npz(tmp_path / "data.npz", **changes)
    with pytest.raises(InputError, match=message) as caught:
        datasets.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_other_kinds_of_files_are_refused_by_name(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "empty.npz").touch()
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "array.npy", "empty.npz", "empty"):
        with pytest.raises(InputError, match=name):
            datasets.load(tmp_path / name)
