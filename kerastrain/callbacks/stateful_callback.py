"""Callbacks whose state a checkpoint can keep."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np

from kerastrain._core.described import described, is_described
from kerastrain._core.errors import InputError


class StatefulCallback(keras.callbacks.Callback):
    """Base of callbacks that survive a resume: `state_dict` says what they remember, `load_state_dict` takes it back.

    A Keras callback keeps what it remembers in attributes that no checkpoint knows of, and `on_train_begin` wipes them:
    after a resume, early stopping waits anew. A subclass names those attributes in `state_names`; whoever writes
    checkpoints calls `state_dict` with the model's state, and `load_state_dict` once every `on_train_begin` has run.
    One without `state_names` says that it remembers nothing: what it does follows from the epoch or the step.

    The protocol is the two methods; a callback that has them need not inherit from this class.

    State: that of the subclass: None, booleans, numbers (infinity and NaN too), strings, `numpy.ndarray`, and lists and
    dictionaries of such.

    Raises:
        InputError: an attribute holds something else; a loaded state has other names.

    Example:

    >>> class CountEpochs(StatefulCallback):
    ...     state_names = ("epochs",)
    ...     def on_train_begin(self, logs=None):
    ...         self.epochs = 0
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.epochs += 1
    >>> first, resumed = CountEpochs(), CountEpochs()
    >>> first.on_train_begin(); first.on_epoch_end(0)
    >>> resumed.on_train_begin(); resumed.load_state_dict(first.state_dict())
    >>> resumed.on_epoch_end(1); resumed.state_dict()
    {'epochs': 2}

    Reference: `state_dict` and `load_state_dict` are PyTorch's names (Paszke et al., 2019, arXiv:1912.01703).
    """

    state_names: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """A copy of what the callback remembers."""
        return {name: _plain(name, getattr(self, name)) for name in self.state_names}

    def arguments(self) -> dict[str, Any]:
        """What the callback was made with and must be made with again for a resume: those arguments that it keeps
        under their names and does not remember in `state_names`. Left out are `verbose`, paths, and what has no plain
        description, such as functions."""
        names = [name for name in inspect.signature(type(self)).parameters if name != "verbose"]
        values = {name: getattr(self, name) for name in names if hasattr(self, name) and name not in self.state_names}
        return {name: described(value) for name, value in values.items() if is_described(value)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, as `state_dict` returned it.

        Raises:
            InputError: the state has other names than this callback, so it belongs to another one.
        """
        if set(state) != set(self.state_names):
            raise InputError(
                f"`state` must be what {type(self).__name__}.state_dict() returned, with "
                f"{', '.join(self.state_names) or 'nothing in it'}. Received: {', '.join(state) or 'nothing'}."
            )
        for name in self.state_names:
            setattr(self, name, _plain(name, state[name]))


def _plain(name: str, value: Any) -> Any:
    """A copy of `value` that shares nothing with it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return np.array(value)
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(name, item) for key, item in value.items()}
    raise InputError(
        f"`{name}` must be None, a number, a string, a NumPy array, or lists and dictionaries (with strings for keys) "
        f"of such to be kept in a checkpoint. Received: a {type(value).__name__}."
    )
