"""The parts that processes take of a batch: together they are the batch, whatever was done to it."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.datasets import Batches, SeededOrder
from kerastrain.datasets.shares import check_equal

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 3), dtype=np.uint8)
LABELS = np.arange(20)


class Mixed:
    """Half an image, half its neighbour in the batch: what a part of the batch cannot know."""

    def apply(self, images, labels, *, epoch, batch):
        return images // 2 + np.roll(images, 1, axis=0) // 2, labels + np.roll(labels, 1)

    def identity(self):
        return "mixed"


@pytest.mark.parametrize(
    "options", [{"crop": 1, "flip": "alternating"}, {"augmentation": Mixed()}, {"even": True, "batch_size": 4}]
)
def test_the_parts_are_the_batch(options):
    options = {"batch_size": 8, "seed": 3, **options}
    whole, *parts = (Batches(IMAGES, LABELS, share=share, **options) for share in (None, (0, 2), (1, 2)))
    for batches in [whole, *parts]:
        batches.start(2, 1)
    for index in range(len(whole)):
        for expected, *found in zip(whole[index], *(part[index] for part in parts), strict=True):
            assert [len(rows) for rows in found] == [len(expected) // 2] * 2
            np.testing.assert_array_equal(np.concatenate(found), expected)
    assert parts[0].identity() == parts[1].identity() == whole.identity(), "they may go on with other shares"


def test_the_parts_of_any_dataset():
    class Data(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"a": np.full((4, 2), index), "b": np.arange(4)}, np.arange(4) + index

    whole, first, second = (SeededOrder(Data(), seed=0, share=share) for share in (None, (0, 2), (1, 2)))
    for index in range(3):
        (inputs, labels), (left, upper), (right, lower) = whole[index], first[index], second[index]
        np.testing.assert_array_equal(np.concatenate([upper, lower]), labels)
        for name in inputs:
            np.testing.assert_array_equal(np.concatenate([left[name], right[name]]), inputs[name])
    with pytest.raises(InputError, match=r"divisible by the 3 devices .* batches of 4 samples"):
        SeededOrder(Data(), seed=0, share=(0, 3))[0]


def test_a_batch_that_cannot_be_shared_equally_is_refused_at_once():
    with pytest.raises(InputError, match=r"divisible by the 8 devices .* batches of 4 samples.*batch_size"):
        Batches(IMAGES, LABELS, 8, seed=0, share=(0, 8))
    with pytest.raises(InputError, match="batches of 7 samples"):  # 7, 6 and 7
        Batches(IMAGES, LABELS, 8, seed=0, even=True, share=(0, 2))
    check_equal([8, 8, 4], 2)


@pytest.mark.parametrize("share", [(2, 2), (-1, 2), (0.0, 2), 1, (0, 1, 2), (True, 2)])
def test_a_share_is_a_number_and_a_count(share):
    with pytest.raises(InputError, match=r"`share` must be \(number, count\)"):
        Batches(IMAGES, LABELS, 8, seed=0, share=share)
