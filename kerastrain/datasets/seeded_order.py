"""A data set of the user's own, in an order that can be continued."""

from typing import Any

import keras
import numpy as np

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeInt
from kerastrain.datasets import shares
from kerastrain.datasets.epoch_batches import EpochBatches


class SeededOrder(EpochBatches):
    """Any finite PyDataset, its batches in an order that depends on nothing but the seed and the epoch.

    Keras shuffles the batches of a PyDataset from Python's global random state. Here epoch e has the permutation of
    (seed, e), and `start` goes to any place in it, so that `kerastrain.callbacks.ResumableCheckpoint` continues within
    an epoch. What a batch holds stays the data set's business: to be the same after a resume it must follow from its
    index. Fit with `shuffle=False`, without `steps_per_epoch`.

    Args:
        dataset: a `keras.utils.PyDataset` with a length; its workers are used.
        seed: of the order, a whole number >= 0.
        identity: plain data that says which data these are, such as a file's checksum; a resume with another is
            refused.
        share: the part of each batch that this process trains on, as for `Batches`.

    Raises:
        InputError: no PyDataset, or one without an end.

    Example:

    >>> class Squares(keras.utils.PyDataset):
    ...     def __len__(self):
    ...         return 5
    ...     def __getitem__(self, index):
    ...         return np.array([[index]]), np.array([index**2])
    >>> batches = SeededOrder(Squares(), seed=0)
    >>> whole = [int(batches[index][1][0]) for index in range(len(batches))]
    >>> batches.start(epoch=0, step=3)
    >>> [int(batches[index][1][0]) for index in range(len(batches))] == whole[3:]
    True
    """

    def __init__(
        self, dataset: keras.utils.PyDataset, seed: NonNegativeInt, identity: Any = None, share: Any = None
    ) -> None:
        if not isinstance(dataset, keras.utils.PyDataset) or dataset.num_batches is None:
            raise InputError(f"`dataset` must be a keras.utils.PyDataset with a length. Received: {dataset!r}.")
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self.dataset = dataset
        self.seed = whole_number("seed", seed, minimum=0)
        self.named = identity
        self.share = shares.checked_share(share)
        self.start(0)

    @property
    def length(self) -> int:
        return int(self.dataset.num_batches)

    def __getitem__(self, index: int) -> Any:
        return shares.part_of(self.dataset[int(self.order[index + self.step])], self.part)

    def _draw(self, epoch: int) -> None:
        self.order = np.random.default_rng([self.seed, epoch, 0]).permutation(self.length)

    def identity(self) -> dict[str, Any]:
        """Plain data that two equal orders share."""
        return {
            "class": type(self.dataset).__qualname__,
            "batches": self.length,
            "seed": self.seed,
            "identity": self.named,
        }

    def on_epoch_begin(self) -> None:
        super().on_epoch_begin()
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        self.dataset.on_epoch_end()
