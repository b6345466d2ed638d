"""The models that one training with a cyclical rate passes through."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from kerastrain._core import processes
from kerastrain._core.checks import place_for_folder, whole_number
from kerastrain._core.errors import InputError
from kerastrain.callbacks.stateful_callback import StatefulCallback


class SnapshotEnsemble(StatefulCallback):
    """Keep the model at the end of each cycle of the learning rate, to vote with the others at the end.

        p(y | x) = 1 / M * sum over the last M snapshots of p_m(y | x)

    A rate that falls to almost 0 and jumps up again (`keras.optimizers.schedules.CosineDecayRestarts`,
    `kerastrain.optimizers.schedules.Cyclical`) finds one minimum a cycle; the models of all of them together answer
    better than the last, at the price of one training. `keras.callbacks.ModelCheckpoint` keeps a model each epoch or
    the best, and its write destroys the file before if it is interrupted; here a file is there whole or not at all.

    The vote is `kerastrain.topologies.voting_ensemble_of(snapshots.paths)`, or of the last few: `snapshots.paths[-3:]`.

    Args:
        folder: where the files `snapshot_0010.keras` go, made when the first is written; the number is that of the
            epochs trained.
        every_epochs: the length of a cycle, a whole number >= 1. Let the schedule's cycle be `every_epochs` times the
            updates of an epoch.
        after_epochs: in place of it, for cycles of unlike lengths: the numbers of epochs after which cycles end, a list
            of whole numbers >= 1 that rise.

    State: `saved_after`, the numbers of the epochs whose models are kept. The files stay where they are.

    Attributes: `paths`, the files written in this training, the earliest first.

    Raises:
        InputError: an argument out of its range, both or none of `every_epochs` and `after_epochs`; at the beginning of
            `fit`, a cycle that would not end within it, or a file in the place of the folder; on a resume, a file that
            is no longer there.

    Example:

    >>> import keras, numpy as np, tempfile
    >>> schedule = keras.optimizers.schedules.CosineDecayRestarts(0.1, first_decay_steps=2, t_mul=1.0)
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(schedule), loss="mse")
    >>> x = np.ones((4, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     snapshots = SnapshotEnsemble(folder, every_epochs=2)
    ...     history = model.fit(x, x, epochs=4, callbacks=[snapshots], verbose=0)
    ...     [path.name for path in snapshots.paths]
    ['snapshot_0002.keras', 'snapshot_0004.keras']

    Reference: Huang et al., 2017, Snapshot ensembles: train 1, get M for free, arXiv:1704.00109.
    """

    state_names = ("saved_after",)

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every_epochs: int | None = None,
        after_epochs: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(folder, str | os.PathLike):
            raise InputError(f"`folder` must be a path. Received: folder={folder!r}.")
        if (every_epochs is None) == (after_epochs is None):
            raise InputError(
                "One of `every_epochs` and `after_epochs` must be given. "
                f"Received: every_epochs={every_epochs!r}, after_epochs={after_epochs!r}."
            )
        self.folder = pathlib.Path(folder)
        self.every_epochs = None if every_epochs is None else whole_number("every_epochs", every_epochs)
        self.after_epochs = None if after_epochs is None else _rising(after_epochs)
        self.saved_after: list[int] = []

    @property
    def paths(self) -> list[pathlib.Path]:
        """The files written in this training, the earliest first."""
        return [self.folder / f"snapshot_{epochs:04d}.keras" for epochs in self.saved_after]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        missing = [str(path) for path in self.paths if not path.exists()]
        if missing:
            raise InputError(f"The snapshots of the resumed training must be there. Missing: {', '.join(missing)}.")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        place_for_folder("folder", self.folder)
        self.saved_after = []
        epochs = (self.params or {}).get("epochs")
        last = self.every_epochs if self.after_epochs is None else self.after_epochs[-1]
        if epochs is not None and last is not None and last > epochs:
            name = "every_epochs" if self.after_epochs is None else "after_epochs"
            raise InputError(f"`{name}` must end a cycle within the {epochs} epochs of the training. Received: {last}.")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        trained = epoch + 1
        if not self._ends_a_cycle(trained):
            return
        with processes.replacing(self.folder / f"snapshot_{trained:04d}.keras") as path:
            self.model.save(path)
        self.saved_after.append(trained)

    def _ends_a_cycle(self, trained: int) -> bool:
        if self.every_epochs is not None:
            return trained % self.every_epochs == 0
        return trained in (self.after_epochs or [])


def _rising(epochs: Any) -> list[int]:
    if not isinstance(epochs, list | tuple) or not epochs:
        raise InputError(f"`after_epochs` must be a list of numbers of epochs. Received: after_epochs={epochs!r}.")
    checked = [whole_number(f"after_epochs[{place}]", epoch) for place, epoch in enumerate(epochs)]
    if checked != sorted(set(checked)):
        raise InputError(f"`after_epochs` must rise. Received: after_epochs={epochs!r}.")
    return checked
