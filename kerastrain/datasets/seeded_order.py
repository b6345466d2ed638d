"""A data set of the user's own, in an order that can be continued."""

from typing import Any

import keras
import numpy as np

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeInt


class SeededOrder(keras.utils.PyDataset):
    """Any finite PyDataset, its batches in an order that depends on nothing but the seed and the epoch.

    Keras shuffles the batches of a PyDataset from Python's global random state. Here epoch e has the permutation of
    (seed, e), and `start` goes to any place in it, so that `kerastrain.callbacks.ResumableCheckpoint` continues within
    an epoch. What a batch holds stays the data set's business: to be the same after a resume it must follow from its
    index. Fit with `shuffle=False`.

    Args:
        dataset: a `keras.utils.PyDataset` with a length; its workers are used.
        seed: of the order, a whole number >= 0.
        identity: plain data that says which data these are, such as a file's checksum; a resume with another is
            refused.

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

    def __init__(self, dataset: keras.utils.PyDataset, seed: NonNegativeInt, identity: Any = None) -> None:
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
        self.start(0)

    def __len__(self) -> int:
        return len(self.order) - self.step

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.order[index + self.step])]

    def start(self, epoch: int, step: int = 0) -> None:
        """Go to a place in the training: from now on batch 0 is the one behind `step` batches of `epoch`.

        Args:
            epoch: counted from 0.
            step: batches of it that are done.

        Raises:
            InputError: there are fewer batches in an epoch.
        """
        length = int(self.dataset.num_batches)
        epoch, step = whole_number("epoch", epoch, minimum=0), whole_number("step", step, minimum=0)
        if step > length:
            raise InputError(f"`step` must be at most {length}, the batches of an epoch. Received: step={step}.")
        self.step = step
        self.order = np.random.default_rng([self.seed, epoch, 0]).permutation(length)

    def following(self) -> keras.callbacks.Callback:
        """A callback that starts each epoch of `fit`, for a training without a `ResumableCheckpoint`."""
        return keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: self.start(epoch))

    def identity(self) -> dict[str, Any]:
        """Plain data that two equal orders share."""
        return {
            "class": type(self.dataset).__qualname__,
            "batches": int(self.dataset.num_batches),
            "seed": self.seed,
            "identity": self.named,
        }

    def on_epoch_begin(self) -> None:
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.dataset.on_epoch_end()
