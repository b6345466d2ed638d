"""All that a running `fit` would be lost without, gathered into a tree of plain values and arrays, and put back."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._core import keras_training, random_state, replicas
from kerastrain._core.errors import RefusedError
from kerastrain._core.names import unnumbered
from kerastrain._core.training_state import copied, put_back, training_variables
from kerastrain.callbacks import keras_states


def captured(model: keras.Model, callbacks: Sequence[keras.callbacks.Callback], *, within_epoch: bool) -> Any:
    """The state of a model in training and of its callbacks.

    Args:
        model: the model; its optimizer is built.
        callbacks: those of this `fit`, without the one that asks.
        within_epoch: whether metrics have seen a part of an epoch.
    """
    keras_training.synced(model)
    variables = training_variables(model)
    metrics = model.metrics_variables if within_epoch else []
    return {
        "variables": [[variable.path, value] for variable, value in zip(variables, copied(variables), strict=True)],
        "metrics": copied(metrics) if within_epoch else None,
        **_copies("variables", variables),
        **_copies("metrics", metrics),
        "callbacks": [[type(one).__name__, state] for one, state in _remembering(callbacks)],
        "random": random_state.captured(),
    }


def not_finite(state: Any) -> str | None:
    """The path of a variable that has NaN or infinity in it; None where all are numbers."""
    for path, value in state["variables"]:
        if value.dtype.kind not in "iub" and not np.isfinite(value.astype(np.float64)).all():
            return str(path)
    return None


def restore_model(model: keras.Model, state: Any) -> None:
    """Put weights, statistics, seeds and the optimizer's state back.

    Raises:
        RefusedError: the checkpoint has other variables; nothing is changed then.
    """
    variables = training_variables(model)
    saved = state["variables"]
    own = [(unnumbered(variable.path), tuple(variable.shape)) for variable in variables]
    there = [(unnumbered(path), value.shape) for path, value in saved]
    if own != there:
        differing = next((pair for pair in zip(there, own, strict=False) if pair[0] != pair[1]), None)
        what = f"`{differing[0][0]}` {differing[0][1]} -> `{differing[1][0]}` {differing[1][1]}" if differing else ""
        raise RefusedError(
            f"the checkpoint has {len(there)} variables and the model with its optimizer {len(own)}. {what}".strip()
        )
    put_back(variables, [value for _, value in saved])
    _set_copies("variables", variables, state)


def restore_metrics(variables: Sequence[keras.Variable], state: Any) -> None:
    """Put back what the metrics have seen of a begun epoch. Raises RefusedError where they are others."""
    if len(variables) != len(state["metrics"]):
        raise RefusedError(
            f"the checkpoint has {len(state['metrics'])} metric variables, and the model {len(variables)}."
        )
    put_back(variables, state["metrics"])
    _set_copies("metrics", variables, state)


def restore_callbacks(callbacks: Sequence[keras.callbacks.Callback], state: Any) -> None:
    """Put back what callbacks remember. One that remembers nothing, such as a progress bar, may come or go.

    Raises:
        RefusedError: the checkpoint is of other callbacks.
    """
    own = [callback for callback, _ in _remembering(callbacks)]
    names, there = [type(one).__name__ for one in own], [name for name, _ in state["callbacks"]]
    if names != there:
        raise _other_callbacks(there, names)
    for callback, (_, remembered) in zip(own, state["callbacks"], strict=True):
        keras_states.load_state(callback, remembered)


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback], state: Any) -> None:
    """Raise as `restore_callbacks` would, as far as it is known before callbacks have begun, and opened files anew.

    Whether a callback with a `state_dict` of its own remembers something is not known then.
    """
    there = [name for name, _ in state["callbacks"]]
    left, known = list(there), True
    for callback in callbacks:
        if left and type(callback).__name__ == left[0]:
            left.pop(0)
        elif keras_states.has_adapter(callback):
            known = False
    if left or not known:
        names = [(type(one).__name__, keras_states.has_adapter(one)) for one in callbacks]
        raise _other_callbacks(there, [name for name, adapted in names if adapted or name in there])


def _other_callbacks(before: list[str], now: list[str]) -> RefusedError:
    return RefusedError(
        "the checkpoint was written beside other callbacks. callbacks that remember something: "
        f"{', '.join(before)} -> {', '.join(now)}. Use the same in the same order."
    )


def _copies(name: str, variables: Sequence[keras.Variable]) -> dict[str, Any]:
    """What the replicas of a `tf.distribute` strategy have copies of that differ, by the variable's place."""
    found = [[place, replicas.copies_of(variable)] for place, variable in enumerate(variables)]
    found = [pair for pair in found if pair[1] is not None]
    return {f"{name}_of_replicas": found} if found else {}


def _set_copies(name: str, variables: Sequence[keras.Variable], state: Any) -> None:
    for place, values in state.get(f"{name}_of_replicas", ()):
        replicas.set_copies(variables[place], values)


def _remembering(
    callbacks: Sequence[keras.callbacks.Callback],
) -> list[tuple[keras.callbacks.Callback, dict[str, Any]]]:
    states = [(callback, keras_states.state_of(callback)) for callback in callbacks]
    return [(callback, state) for callback, state in states if state]
