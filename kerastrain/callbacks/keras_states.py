"""What Keras's own callbacks remember, so that a checkpoint keeps it: the adapters to `state_dict`."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from kerastrain._core.described import is_described
from kerastrain.callbacks.stateful_callback import StatefulCallback

# Attributes by class; a subclass has its base's.
_STATE: dict[type[keras.callbacks.Callback], tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter", "best"),
    keras.callbacks.ModelCheckpoint: ("best", "_batches_seen_since_last_saving"),
    keras.callbacks.TensorBoard: ("_global_train_batch", "_global_test_batch"),
    keras.callbacks.History: ("epoch", "history"),
    # Nothing that training depends on.
    keras.callbacks.LearningRateScheduler: (),
    keras.callbacks.TerminateOnNaN: (),
    keras.callbacks.ProgbarLogger: (),
    keras.callbacks.LambdaCallback: (),
    keras.callbacks.CSVLogger: (),
    keras.callbacks.RemoteMonitor: (),
}
# Arguments of Keras's that are kept as they are given. Not where files go: a run's folder may be moved.
_MONITORED = ("monitor", "mode", "min_delta")
_ARGUMENTS: dict[type[keras.callbacks.Callback], tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: (
        *_MONITORED,
        "patience",
        "baseline",
        "restore_best_weights",
        "start_from_epoch",
    ),
    keras.callbacks.ReduceLROnPlateau: (*_MONITORED, "factor", "patience", "cooldown", "min_lr"),
    keras.callbacks.ModelCheckpoint: ("monitor", "mode", "save_best_only", "save_weights_only", "save_freq"),
}


def has_state_dict(callback: keras.callbacks.Callback) -> bool:
    """Whether the callback says itself what it remembers."""
    return callable(getattr(callback, "state_dict", None)) and callable(getattr(callback, "load_state_dict", None))


def has_adapter(callback: keras.callbacks.Callback) -> bool:
    """Whether it is one of Keras's that remember something."""
    return not has_state_dict(callback) and (bool(_names(callback)) or isinstance(callback, keras.callbacks.CSVLogger))


def is_known(callback: keras.callbacks.Callback) -> bool:
    """Whether `state_of` knows everything that the callback remembers."""
    own = type(callback)
    return has_state_dict(callback) or own in _STATE or own is keras.callbacks.Callback


def arguments_of(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """What the callback was made with, as plain data; nothing where that cannot be told."""
    if isinstance(callback, StatefulCallback):
        return callback.arguments()
    names = next((names for kind, names in _ARGUMENTS.items() if isinstance(callback, kind)), ())
    found: dict[str, Any] = {name: getattr(callback, name, None) for name in names}
    if found.get("min_delta"):  # Keras turns its sign when it knows the mode.
        found["min_delta"] = abs(found["min_delta"])
    return {name: value for name, value in found.items() if is_described(value)}


def state_of(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """What the callback remembers: its own `state_dict`, or the adapter's for one of Keras's."""
    if has_state_dict(callback):
        found: dict[str, Any] = dict(callback.state_dict())
        return found
    state = {name: _plain(getattr(callback, name)) for name in _names(callback) if hasattr(callback, name)}
    if isinstance(callback, keras.callbacks.EarlyStopping) and getattr(callback, "best_weights", None) is not None:
        state["best_weights"] = [np.array(weight) for weight in callback.best_weights]
    if isinstance(callback, keras.callbacks.CSVLogger):
        state["text"] = _text(callback)
    return state


def load_state(callback: keras.callbacks.Callback, state: Mapping[str, Any]) -> None:
    """Give a callback back what `state_of` told of it, once every `on_train_begin` has run."""
    if has_state_dict(callback):
        callback.load_state_dict(state)
        return
    for name, value in state.items():
        if name != "text":
            setattr(callback, name, value)
    if isinstance(callback, keras.callbacks.CSVLogger):
        _write(callback, state["text"])


def _names(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    return next((names for kind, names in _STATE.items() if isinstance(callback, kind)), ())


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return np.array(keras.ops.convert_to_numpy(value)) if hasattr(value, "shape") else value


def _text(callback: keras.callbacks.CSVLogger) -> str:
    """All that a CSVLogger has in its file so far."""
    if callback.csv_file is not None and not callback.csv_file.closed:
        callback.csv_file.flush()
    with open(callback.filename, encoding="utf-8", newline="") as file:  # With the line ends that it has.
        return file.read()


def _write(callback: keras.callbacks.CSVLogger, text: str) -> None:
    """Bring the file back to `text`: without the rows of epochs that are trained again, and with those before, which
    `on_train_begin` has wiped unless the logger appends."""
    callback.csv_file.flush()
    callback.csv_file.seek(0)
    callback.csv_file.truncate()
    callback.csv_file.write(text)
    callback.csv_file.flush()
    callback.append_header = not text
