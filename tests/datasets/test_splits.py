import numpy as np
import pytest

from kerastrain import datasets
from kerastrain._core.errors import InputError
from kerastrain.datasets.stratification import stratified_counts


def numbered(labels, classes):
    """Images that carry their own index, so that a split shows which it took."""
    labels = np.asarray(labels, np.int32)
    images = np.zeros((len(labels), 4, 4, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels)) % 256
    images[:, 0, 0, 1] = np.arange(len(labels)) // 256
    names = tuple(f"c{index}" for index in range(classes))
    return datasets.ImageData("numbered", "", names, images, labels, images[:2], labels[:2])


def ids(split):
    return split.images[:, 0, 0, 0].astype(int) + 256 * split.images[:, 0, 0, 1].astype(int)


@pytest.mark.parametrize(
    "per_class, total, counts",
    [
        ([50, 30, 20], 10, [5, 3, 2]),  # quotas whole
        ([5, 3, 2], 4, [2, 1, 1]),  # 2.0, 1.2, 0.8: the last has the largest remainder
        ([7, 7, 7], 5, [2, 2, 1]),  # 1.67 each: two more, the lower classes first
        ([90, 5, 5], 7, [6, 1, 0]),  # 6.3, 0.35, 0.35
    ],
)
def test_largest_remainders_by_hand(per_class, total, counts):
    assert stratified_counts(np.array(per_class), total).tolist() == counts


def test_sizes_classes_and_disjointness():
    data = numbered(np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [500, 300, 200])), 3)
    parts = datasets.split(data, 100, seed=7)
    assert np.bincount(parts.validation.labels).tolist() == [50, 30, 20]
    assert np.bincount(parts.train.labels).tolist() == [450, 270, 180]
    assert not set(ids(parts.train)) & set(ids(parts.validation))
    assert len(set(ids(parts.train)) | set(ids(parts.validation))) == 1000
    for part in (parts.train, parts.validation):
        assert (np.diff(ids(part)) > 0).all()  # in the file's order
        np.testing.assert_array_equal(data.y_train[ids(part)], part.labels)
        assert part.images.dtype == np.uint8
    assert parts.test.images is data.x_test


def test_a_pure_function_of_labels_validation_and_seed():
    data = numbered(np.arange(300) % 3, 3)
    first, again = datasets.split(data, 60, seed=1), datasets.split(data, 0.2, seed=1)
    np.testing.assert_array_equal(ids(first.validation), ids(again.validation))
    assert not np.array_equal(ids(first.validation), ids(datasets.split(data, 60, seed=2).validation))


@pytest.mark.parametrize("validation", [0, -1, 30, 31, 0.0, 1.0, 1.5, -0.1, float("nan"), True, "5", None])
def test_validation_out_of_range(validation):
    with pytest.raises(InputError, match=r"`validation` must be an int >= 1.*Received: validation="):
        datasets.split(numbered(np.arange(30) % 3, 3), validation, seed=0)


def test_each_class_keeps_an_image_on_both_sides():
    data = numbered([0] * 20 + [1], 2)
    with pytest.raises(InputError, match=r"class `c1` \(1 of 21 training images\) without a validation image"):
        datasets.split(data, 5, seed=0)
    with pytest.raises(InputError, match=r"class `c1`.*without a training image"):
        datasets.split(data, 20, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None, True])
def test_seed_is_a_whole_number(seed):
    with pytest.raises(InputError, match="`seed` must be an int >= 0"):
        datasets.split(numbered(np.arange(30) % 3, 3), 6, seed=seed)
    with pytest.raises(InputError, match="`seed` must be an int >= 0"):
        datasets.load("synthetic", seed=seed)
