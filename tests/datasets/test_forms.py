import numpy as np
import pytest

from kerastrain import datasets
from kerastrain._core.errors import InputError
from kerastrain.datasets import Split, apply_form


@pytest.fixture
def split():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (1100, 6, 5, 3), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(1100) % 256, np.arange(1100) // 256
    return Split(images, generator.integers(0, 4, 1100).astype(np.int32))


def test_image_is_as_it_is(split):
    x, y = apply_form("image", split, 4, 0)
    assert x is split.images
    assert y is split.labels


def test_histogram_is_numpy_s(split):
    x, y = apply_form("image_and_histogram", split, 4, 0)
    assert x["image"] is split.images
    assert y is split.labels
    assert x["histogram"].dtype == np.float32
    assert x["histogram"].shape == (1100, 48)
    for index in (0, 1023, 1024, 1099):  # both sides of the border between two chunks
        for channel in range(3):
            counts, _ = np.histogram(split.images[index, ..., channel], bins=16, range=(0, 256))
            np.testing.assert_allclose(x["histogram"][index, 16 * channel : 16 * channel + 16], counts / 30, rtol=1e-6)


def test_histogram_of_grey_images_and_other_bins():
    images = np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    assert datasets.color_histogram(images, bins=2).tolist() == [[0.5, 0.5]]
    assert datasets.color_histogram(images, bins=256)[0, [0, 127, 128, 255]].tolist() == [0.25] * 4
    with pytest.raises(InputError, match=r"`bins` must be one of 2, 4.*Received: bins=10"):
        datasets.color_histogram(images, bins=10)


@pytest.mark.parametrize("rounds", [1, 3])
def test_pairs_are_two_images_of_the_split(split, rounds):
    x, y = apply_form({"type": "pairs", "pairs_per_image": rounds}, split, 4, 5)
    assert x.shape == (550 * rounds, 6, 10, 3)
    assert x.dtype == np.uint8
    left, right = (x[:, 0, column, 0].astype(int) + 256 * x[:, 0, column, 1].astype(int) for column in (0, 5))
    assert (np.bincount(np.concatenate([left, right])) == rounds).all()
    assert (left != right).all()
    for row in range(0, len(x), 97):
        a, b = left[row], right[row]
        np.testing.assert_array_equal(x[row], np.hstack([split.images[a], split.images[b]]))
        assert set(np.flatnonzero(y[row])) == {split.labels[a], split.labels[b]}
        assert set(y[row]) <= {0.0, 1.0}


def test_pairs_follow_the_seed_and_leave_an_odd_one_out(split):
    odd = Split(split.images[:7], split.labels[:7])
    x, y = apply_form("pairs", odd, 4, 5)
    assert x.shape[0] == y.shape[0] == 3
    np.testing.assert_array_equal(apply_form("pairs", odd, 4, 5)[0], x)
    assert not np.array_equal(apply_form("pairs", split, 4, 5)[0], apply_form("pairs", split, 4, 6)[0])


@pytest.mark.parametrize(
    "form, message",
    [
        ("pair", "Did you mean `pairs`"),
        ({"type": "pairs", "pairs_per_image": 0}, "pairs_per_image"),
        ({"type": "image_and_histogram", "bins": 10}, "bins"),
        ({"type": "image", "bins": 16}, "bins"),
    ],
)
def test_unknown_forms_and_arguments(split, form, message):
    with pytest.raises(InputError, match=message):
        apply_form(form, split, 4, 0)


def test_a_single_image_makes_no_pair(split):
    with pytest.raises(InputError, match="at least two images"):
        apply_form("pairs", Split(split.images[:1], split.labels[:1]), 4, 0)
