"""Batches in an order that the epoch decides, which they learn from the `fit` that goes through them."""

import abc
from collections.abc import Sequence

import keras

from kerastrain._core import keras_training, processes
from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain.datasets import shares


class EpochBatches(keras.utils.PyDataset, abc.ABC):
    """A PyDataset with an order for each epoch, which can start anywhere in it.

    `fit` needs nothing but `shuffle=False`: each of its epochs, `initial_epoch` counted in, has the order of its
    number, and is whole, wherever `start` has been before; only a `kerastrain.callbacks.ResumableCheckpoint` starts
    within an epoch. Where there is no `fit`, or an `evaluate` goes through it, the place stays the one of `start`.

    Under a `keras.distribution` of several processes each of them has its part of every batch, so that together they
    see the batches that one process would.
    """

    epoch = -1  # Before the first `start`.
    step = 0
    share: tuple[int, int] | None = None  # None: what `keras.distribution` says.
    part = shares.WHOLE

    @property
    @abc.abstractmethod
    def length(self) -> int:
        """Batches in a whole epoch."""

    def sizes(self) -> Sequence[int]:
        """Samples in each batch, before it is shared; none where that is not known before it is read."""
        return ()

    @abc.abstractmethod
    def _draw(self, epoch: int) -> None:
        """Draw what is random about the epoch."""

    def __len__(self) -> int:
        return self.length - self.step

    def start(self, epoch: int, step: int = 0) -> None:
        """Go to a place in the training: from now on batch 0 is the one behind `step` batches of `epoch`.

        Everything random about the epoch is drawn at once: a few milliseconds.

        Args:
            epoch: counted from 0.
            step: batches of it that are done.

        Raises:
            InputError: there are fewer batches in an epoch.
        """
        epoch, step = whole_number("epoch", epoch, minimum=0), whole_number("step", step, minimum=0)
        if step > self.length:
            raise InputError(f"`step` must be at most {self.length}, the batches of an epoch. Received: step={step}.")
        self._share_out()
        if epoch != self.epoch:
            self._draw(epoch)
        self.epoch, self.step = epoch, step

    def _share_out(self) -> None:
        # Not in `__getitem__`: workers are other threads, in which Keras knows no distribution.
        self.part = processes.share() if self.share is None else self.share
        devices = shares.devices(self.part)
        if devices > 1:
            shares.check_equal(self.sizes(), devices)

    def on_epoch_begin(self) -> None:
        self._share_out()
        place = keras_training.epoch_of_fit()
        if place is not None and place[1] and place[0] != self.epoch:  # Else a checkpoint has started it.
            self.start(place[0])

    def on_epoch_end(self) -> None:
        # Not only when the next one begins: by then workers are ahead, in the order that they have found.
        place = keras_training.epoch_of_fit()
        keras_training.forget_what_was_read_ahead()
        if place is None:
            return
        epoch, begun = place
        if begun:
            self.start(epoch + 1)
        else:  # Keras calls it once in front of all epochs, when it has counted the batches.
            self._refuse_parts()
            self.start(epoch)
            keras_training.shortened_epoch(self.length)
            keras_training.without_autotuning()

    def _refuse_parts(self) -> None:
        fitted = keras_training.fitted_data()
        steps = None if fitted is None else fitted[2]
        if steps not in (None, self.length):
            raise InputError(
                f"`fit` would begin epochs in the middle of the batches, of which there are {self.length}. "
                f"Received: steps_per_epoch={steps}. Leave it out."
            )
