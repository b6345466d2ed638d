import dataclasses
import hashlib

import numpy as np
import pytest

from kerastrain import datasets
from kerastrain._core.errors import InputError


@pytest.fixture
def data():
    images, labels = np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3), np.array([0, 1, 0, 1], np.int32)
    return datasets.ImageData("tiny", "four images", ("a", "b"), images, labels, images[:2], labels[:2])


def test_fingerprint_is_the_sha256_of_shapes_and_bytes(data):
    text = b"|u1(4, 2, 2, 3)" + bytes(range(48)) + b"<i4(4,)" + b"\0\0\0\0\1\0\0\0" * 2
    text += b"|u1(2, 2, 2, 3)" + bytes(range(24)) + b"<i4(2,)" + b"\0\0\0\0\1\0\0\0"
    assert data.fingerprint() == hashlib.sha256(text).hexdigest()[:16]


@pytest.mark.parametrize("field", ["x_train", "y_train", "x_test", "y_test"])
def test_every_array_counts_in_the_fingerprint(data, field):
    changed = getattr(data, field).copy()
    changed.flat[0] ^= 1
    assert dataclasses.replace(data, **{field: changed}).fingerprint() != data.fingerprint()
    assert dataclasses.replace(data, description="other words").fingerprint() == data.fingerprint()


def test_it_is_frozen(data):
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "other"


def test_load_by_name_and_the_table_of_names():
    assert [entry.name for entry in datasets.DATASETS] == ["cifar10", "synthetic"]
    data = datasets.load("synthetic")
    assert (data.name, data.image_shape, data.classes) == ("synthetic", (32, 32, 3), 10)
    assert (len(data.x_train), len(data.x_test)) == (12_000, 2_000)
    assert "synthetic" in data.description
    assert data.y_train.dtype == np.int32


@pytest.mark.parametrize(
    "name, message",
    [("cifar01", "Did you mean `cifar10`"), ("sintetic", "Did you mean `synthetic`"), ("/no/where.npz", "no file")],
)
def test_unknown_names_get_the_closest(name, message):
    with pytest.raises(InputError, match=message):
        datasets.load(name)
