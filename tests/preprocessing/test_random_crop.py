import numpy as np
import pytest

from kerastrain.preprocessing import random_crop


@pytest.mark.parametrize(("height", "width", "padding"), [(8, 8, 4), (5, 9, 3), (32, 32, 4), (2, 3, 1), (4, 4, 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_equals_slices_of_numpys_reflected_images(height, width, padding, dtype):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (50, height, width, 3)).astype(dtype)
    offsets = generator.integers(0, 2 * padding + 1, (50, 2))
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode="reflect")
    expected = np.stack([p[y : y + height, x : x + width] for p, (y, x) in zip(padded, offsets, strict=True)])
    found = random_crop(images, offsets, padding)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


def test_the_middle_offset_changes_nothing():
    images = np.random.default_rng(1).integers(0, 256, (4, 6, 7, 1), dtype=np.uint8)
    np.testing.assert_array_equal(random_crop(images, np.full((4, 2), 3), 3), images)


def test_no_images_give_none():
    assert random_crop(np.zeros((0, 8, 8, 3)), np.zeros((0, 2), int), 2).shape == (0, 8, 8, 3)


@pytest.mark.parametrize(
    ("offsets", "padding", "message"),
    [
        ([[0, 0]], 8, "`padding` must be from 0 to 7"),
        ([[0, 0]], -1, "`padding` must be from 0 to 7"),
        ([[0, 5]], 2, "`offsets`"),
        ([[-1, 0]], 2, "`offsets`"),
        ([[0, 0], [0, 0]], 2, "`offsets`"),
        ([0, 0], 2, "`offsets`"),
    ],
)
def test_arguments_out_of_range_are_refused(offsets, padding, message):
    with pytest.raises(ValueError, match=message):
        random_crop(np.zeros((1, 8, 8, 3)), np.array(offsets), padding)


def test_mirrored_crops_are_the_crops_turned():
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (20, 5, 7, 3), dtype=np.uint8)
    offsets = rng.integers(0, 5, (20, 2))
    mirrored = rng.random(20) < 0.5
    plain = random_crop(images, offsets, 2)
    found = random_crop(images, offsets, 2, mirrored)
    np.testing.assert_array_equal(found[mirrored], np.flip(plain[mirrored], axis=2))
    np.testing.assert_array_equal(found[~mirrored], plain[~mirrored])
    turned = random_crop(images, np.zeros((20, 2), int), 0, np.ones(20, bool))
    np.testing.assert_array_equal(turned, np.flip(images, axis=2))
    with pytest.raises(ValueError, match="mirrored"):
        random_crop(images, offsets, 2, mirrored[:3])
