"""What must stay the same for a training to be continued: model, optimizer, loss, metrics, data and callbacks."""

import json
from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core.described import described
from kerastrain._core.names import free_name, unnumbered
from kerastrain.callbacks import keras_states


def training_identity(
    model: keras.Model,
    data: Any,
    steps: int | None,
    validation: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """A plain description of a compiled model and its data, equal for two processes that run the same script.

    Args:
        model: compiled; before anything of a checkpoint is put into it, since an optimizer's config has its present
            learning rate.
        data: what `fit` trains on, when it says who it is by `identity()`; else None.
        steps: batches in an epoch, where they are known.
        validation: the data of the validation, and how `fit` goes through them. Arrays are told by their digest, what
            has no `identity()` by its type.
        callbacks: those beside the checkpoint.
    """
    optimizer = keras.saving.serialize_keras_object(model.optimizer)
    compiled = model.get_compile_config() or {}
    return {
        "model": _plain(model.get_config()) if _describes_itself(model) else {"class": type(model).__name__},
        "variables": [[unnumbered(each.path), list(each.shape), str(each.dtype)] for each in model.variables],
        "optimizer": _plain(optimizer),
        "loss": _plain(_serialized(model.loss)),
        **{name: _plain(_serialized(compiled.get(name))) for name in ("loss_weights", "metrics", "weighted_metrics")},
        "steps_per_execution": model.steps_per_execution,
        "jit_compile": bool(model.jit_compile),
        "precision": str(model.dtype_policy.name),
        "backend": keras.backend.backend(),
        "data": _plain(data.identity()) if data is not None else None,
        "batches": steps,
        "validation": _plain(described(validation)),
        "callbacks": _arguments(callbacks),
    }


def common_callbacks(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two identities without those callbacks that only one of them has: a display may come or go, and of one that
    remembers something `fit_state.restore_callbacks` says that it is missing."""
    before, after = old.get("callbacks", {}), new["callbacks"]
    return (
        {**old, "callbacks": {name: before[name] for name in before if name in after}},
        {**new, "callbacks": {name: after[name] for name in after if name in before}},
    )


def _arguments(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for callback in callbacks:
        arguments = _plain(keras_states.arguments_of(callback))
        if arguments:
            found[free_name(type(callback).__name__, found)] = arguments
    return found


def _describes_itself(model: keras.Model) -> bool:
    try:
        model.get_config()
    except (NotImplementedError, TypeError):
        return False
    return True


def _serialized(value: Any) -> Any:
    try:
        return keras.saving.serialize_keras_object(value)
    except (TypeError, ValueError):
        return repr(value)


def _plain(value: Any) -> Any:
    """JSON's idea of a value, names without Keras's numbers."""
    # A function or an object of the user's has no other description that two processes share than its type.
    return _steady(json.loads(json.dumps(value, default=lambda item: type(item).__qualname__)))


def _steady(value: Any) -> Any:
    """Without what two processes, or two models of one, differ in: Keras's numbers in names, and the compiled code of
    lambdas, which has the file's name and lines."""
    if isinstance(value, str):
        return unnumbered(value)
    if isinstance(value, list):
        return [_steady(item) for item in value]
    if isinstance(value, dict):
        if value.get("class_name") == "__lambda__":
            return {"class_name": "__lambda__"}
        return {key: _steady(item) for key, item in value.items()}
    return value
