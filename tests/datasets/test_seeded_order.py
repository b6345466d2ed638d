import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.datasets import SeededOrder


class Numbers(keras.utils.PyDataset):
    """Batch i holds the number i; it writes down the hooks that Keras calls."""

    def __init__(self, length=7, **options):
        super().__init__(**options)
        self.length, self.hooks = length, []

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return np.full((2, 1), index, np.float32), np.full((2, 1), index, np.float32)

    def on_epoch_begin(self):
        self.hooks.append("begin")

    def on_epoch_end(self):
        self.hooks.append("end")


def order(batches):
    return [int(batches[index][0][0, 0]) for index in range(len(batches))]


def started(seed, epoch, step=0, length=7):
    batches = SeededOrder(Numbers(length), seed)
    batches.start(epoch, step)
    return order(batches)


def test_every_batch_comes_once_in_an_order_of_its_own():
    orders = [started(seed, epoch, length=50) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert all(sorted(one) == list(range(50)) for one in orders)
    assert len(set(map(tuple, orders))) == len(orders)


def test_it_follows_from_seed_and_epoch_alone():
    expected = started(3, 5)
    np.random.seed(9)
    batches = SeededOrder(Numbers(), 3)
    for epoch in (0, 9, 5):
        batches.start(epoch)
        order(batches)
    assert order(batches) == expected


@pytest.mark.parametrize("step", [0, 1, 6, 7])
def test_it_starts_anywhere_in_an_epoch(step):
    assert started(0, 2, step) == started(0, 2)[step:]


def test_it_begins_at_the_first_epoch():
    assert order(SeededOrder(Numbers(), 4)) == started(4, 0)


@pytest.mark.parametrize("workers", [1, 3])
def test_its_dataset_has_the_workers_and_is_called_by_the_hooks(workers):
    numbers = Numbers(workers=workers)
    batches = SeededOrder(numbers, 1)
    assert batches.workers == workers
    batches.on_epoch_begin()
    batches.on_epoch_end()
    assert numbers.hooks == ["begin", "end"]
    assert order(batches) == started(1, 0)  # Without a `fit` the epoch stays.


def test_its_identity_has_everything_that_matters():
    one = SeededOrder(Numbers(), 0, identity={"sha256": "ab"}).identity()
    assert one == {"class": "Numbers", "batches": 7, "seed": 0, "identity": {"sha256": "ab"}}
    others = [SeededOrder(Numbers(8), 0), SeededOrder(Numbers(), 1), SeededOrder(Numbers(), 0, identity="cd")]
    assert all(other.identity() != one for other in others)


class Endless(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return None


@pytest.mark.parametrize("dataset", [np.zeros((3, 2)), [1, 2], Endless()], ids=lambda one: type(one).__name__)
def test_what_has_no_end_or_is_no_dataset_is_refused(dataset):
    with pytest.raises(InputError, match=r"`dataset` must be a keras.utils.PyDataset with a length"):
        SeededOrder(dataset, 0)


@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(InputError, match="`seed`"):
        SeededOrder(Numbers(), seed)


@pytest.mark.parametrize(
    ("epoch", "step", "message"),
    [(-1, 0, "`epoch`"), (0.5, 0, "`epoch`"), (0, -1, "`step`"), (0, 8, "at most 7, the batches of an epoch.*step=8")],
)
def test_a_place_that_does_not_exist_is_refused(epoch, step, message):
    batches = SeededOrder(Numbers(), 0)
    batches.start(1, 2)
    before = order(batches)
    with pytest.raises(InputError, match=message):
        batches.start(epoch, step)
    assert order(batches) == before
