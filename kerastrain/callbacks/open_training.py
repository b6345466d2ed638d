"""What a training holds while its `fit` runs."""

import contextlib
import pathlib
import threading

import keras

from kerastrain._core import folder_lock, keras_training, processes
from kerastrain._core.interruption import Interruption


class OpenTraining:
    """The folder and the signals of a training, held from its beginning to its end.

    Of an exception in `fit` Keras tells no callback, so the next training lets go of what the one before still holds.

    Args:
        callback: by which it is known whether `fit` is still running.
    """

    def __init__(self, callback: keras.callbacks.Callback) -> None:
        self.callback = callback
        self.interruption = Interruption()
        self._held = contextlib.ExitStack()

    def begin(self, folder: pathlib.Path) -> None:
        """Hold the folder and listen for signals.

        Raises:
            RefusedError: another process holds it. UnusableFolderError: it cannot be written to; `listen` goes on.
        """
        self.close()
        for one in list(_OPEN):
            one._close_when_abandoned()
        _OPEN.append(self)
        self._held.callback(_OPEN.remove, self)
        self._thread = threading.get_ident()
        self._called_by_fit = keras_training.callback_list_of(self.callback) is not None
        self._held.callback(keras_training.start_at_epoch, self.callback.model, None)
        if processes.is_first():
            remedy = "Two trainings need two folders, or wait for the other."
            self._held.enter_context(folder_lock.locked(folder, argument="folder", remedy=remedy))

    def listen(self) -> None:
        """Note the signals from now on."""
        self.interruption = Interruption()
        self._held.enter_context(self.interruption.listening())

    def agreed(self, due: bool, *, at_once: bool = False) -> tuple[str | None, bool]:
        """The name of the signal that has come, or None, and whether to save.

        Of several processes, which must all do the same, it is any one's signal, and the first one's `due`.

        Args:
            due: what this process would do.
            at_once: whether the processes come here so often that they do not ask one another.
        """
        name = self.interruption.name
        if processes.count() == 1:
            return name, due
        if at_once:
            return None, False
        answers = processes.exchanged([name, due])
        return next((one for one, _ in answers if one is not None), None), answers[0][1]

    def close(self) -> None:
        """Let go of everything."""
        self._held.close()

    def _close_when_abandoned(self) -> None:
        called = self._called_by_fit and self._thread == threading.get_ident()
        if called and keras_training.callback_list_of(self.callback) is None:
            self.close()


_OPEN: list[OpenTraining] = []
