"""Callbacks that must have a part before all others and stand behind them, wherever they are in the list."""

from typing import Any

import keras

from kerastrain._core import keras_training


class Surrounding(keras.callbacks.Callback):
    """A callback that is asked before all others, by the methods here, and acts behind them, by Keras's hooks.

    `list_place`: of two such, the one with the larger is asked first and acts last.
    """

    list_place = 1

    def set_model(self, model: keras.Model) -> None:
        # Keras makes its list with it, before any callback's `on_train_begin`.
        super().set_model(model)
        self.surround()

    def begin_training(self) -> None:
        """Before any other callback's `on_train_begin`."""

    def begin_epoch(self, epoch: int) -> None:
        """Before any other callback's `on_epoch_begin`."""

    def begin_step(self) -> None:
        """Before any other callback's `on_train_batch_begin`."""

    def end_step(self, logs: dict[str, Any] | None) -> None:
        """Before any other callback's `on_train_batch_end`."""

    def end_epoch(self, logs: dict[str, Any] | None) -> None:
        """Before any other callback's `on_epoch_end`."""

    def end_training(self) -> None:
        """Before any other callback's `on_train_end`."""

    def surround(self) -> list[keras.callbacks.Callback]:
        """Take both places in the list that is calling this callback just now.

        Returns:
            The callbacks that stand within or have the same place; none where it is called by hand.
        """
        everybody = keras_training.callback_list_of(self)
        if everybody is None:
            return []
        if not any(isinstance(one, _Front) and one.behind is self for one in everybody.callbacks):
            # A new list: Keras is going through the old one.
            everybody.callbacks = sorted([_Front(self), *everybody.callbacks], key=_place_of)
        return [one for one in everybody.callbacks if 0 <= _place_of(one) <= self.list_place and one is not self]


class _Front(keras.callbacks.Callback):
    """Stands before all others for a callback that stands behind them."""

    def __init__(self, behind: Surrounding) -> None:
        super().__init__()
        self.behind = behind

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.behind.begin_training()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.behind.begin_epoch(epoch)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.behind.begin_step()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.behind.end_step(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.behind.end_epoch(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.behind.end_training()


def _place_of(callback: keras.callbacks.Callback) -> int:
    """0, for all that stand as their user has put them; less in front of them, more behind them."""
    if isinstance(callback, _Front):
        return -callback.behind.list_place
    return callback.list_place if isinstance(callback, Surrounding) else 0
