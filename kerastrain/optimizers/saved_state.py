"""An optimizer's state by name, and refused where names or classes differ."""

import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._core import keras_optimizer
from kerastrain._core.errors import InputError
from kerastrain._core.names import unnumbered

_ABOUT = "about"


def names(optimizer: keras.optimizers.Optimizer) -> list[str]:
    """A distinct name for each of the optimizer's variables, in order.

    A slot is named by its variable's path, less what all paths begin with: a Sequential model's name is in front of its
    paths until it is saved, and in a loaded one it is not.
    """
    paths = [str(getattr(v, "path", v.name)).split("/") for v in keras_optimizer.built_with(optimizer)]
    shared = _shared_start(paths)
    stable = {"_".join(path): "/".join(path[shared:]) for path in paths}
    seen: dict[str, int] = {}
    found = []
    for variable in optimizer.variables:
        name = _stable(variable.name, stable)
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found


def _shared_start(paths: Sequence[Sequence[str]]) -> int:
    shortest = min((len(path) for path in paths), default=1)
    shared = 0
    while shared < shortest - 1 and len({path[shared] for path in paths}) == 1:
        shared += 1
    return shared


def _stable(name: str, stable: dict[str, str]) -> str:
    parts = name.split("_")
    for length in range(len(parts) - 1, 0, -1):
        if "_".join(parts[:length]) in stable:
            return f"{stable['_'.join(parts[:length])]}:{'_'.join(parts[length:])}".replace("/", ".")
    return name


def save(optimizer: Any, store: Any) -> None:
    """Write each variable under its name, and `about`, JSON in bytes: classes and the order of names."""
    own = names(optimizer)
    about = {"schema": 1, "built": bool(optimizer.built), "classes": optimizer.signature(), "names": own}
    store[_ABOUT] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    for name, variable in zip(own, optimizer.variables, strict=True):
        store[name] = keras.ops.convert_to_numpy(variable)


def load(optimizer: Any, store: Any) -> dict[str, Any] | None:
    """Read what `save` wrote. Returned is what an optimizer that is not built yet must be given again once it is.

    Raises:
        InputError: other classes, names or shapes; nothing is loaded then.
    """
    kind = type(optimizer).__name__
    if _ABOUT not in store.keys():  # noqa: SIM118 - Keras's store is no mapping
        raise InputError(
            f"The saved optimizer is not a {kind} ({len(store.keys())} variables without names). Compile the model "
            "with the optimizer it was saved with, or load it with compile=False."
        )
    about = json.loads(bytes(np.asarray(store[_ABOUT], dtype=np.uint8)))
    classes = optimizer.signature()
    differing = [
        f"{slot}: saved {about['classes'].get(slot)!r}, here {value!r}"
        for slot, value in classes.items()
        if about["classes"].get(slot) != value
    ]
    if differing:
        raise InputError(f"The saved {kind} has other parts. " + "; ".join(differing) + ".")
    if about["built"] and not optimizer.built:
        # `load_weights` into a model that has been compiled and not trained: the variables are made at the first step.
        return {name: np.array(store[name]) for name in store.keys()}  # noqa: SIM118 - Keras's store is no mapping
    if not about["built"]:
        optimizer_scalars = dict(zip(names(optimizer), optimizer.variables, strict=True))
        for name in about["names"]:
            if name in optimizer_scalars:
                optimizer_scalars[name].assign(store[name])
        return None
    _assign(optimizer, _matched(names(optimizer), about["names"], kind), store)
    return None


def _matched(own: list[str], saved: list[str], kind: str) -> list[str]:
    """The saved name of each own variable: the same one; else, when all agree in order but for the numbers that Keras
    gives layers of one type as they are made, the one at the same place."""
    if set(own) == set(saved):
        return own
    if [unnumbered(name) for name in own] == [unnumbered(name) for name in saved]:
        return saved
    missing = [name for name in own if name not in set(saved)]
    extra = [name for name in saved if name not in set(own)]
    raise InputError(
        f"The saved {kind} belongs to other variables; nothing was loaded. Here and not in the file: "
        f"{_listed(missing)}. In the file and not here: {_listed(extra)}."
    )


def _listed(found: Sequence[str]) -> str:
    return (", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")) or "none"


def _assign(optimizer: Any, saved_names: list[str], store: Any) -> None:
    values = [np.asarray(store[name]) for name in saved_names]
    differing = [
        f"{name}: saved {value.shape}, here {tuple(variable.shape)}"
        for name, value, variable in zip(saved_names, values, optimizer.variables, strict=True)
        if value.shape != tuple(variable.shape)
    ]
    if differing:
        raise InputError(
            f"The saved {type(optimizer).__name__} has other shapes; nothing was loaded. " + "; ".join(differing) + "."
        )
    for variable, value in zip(optimizer.variables, values, strict=True):
        variable.assign(value)


def set_weights(optimizer: Any, weights: Sequence[Any]) -> None:
    """Assign `weights` to the variables in their order.

    Raises:
        InputError: not as many, or other shapes.
    """
    variables = optimizer.variables
    if len(weights) != len(variables):
        raise InputError(f"`weights` must have {len(variables)} arrays. Received: {len(weights)}.")
    for variable, weight in zip(variables, weights, strict=True):
        if tuple(variable.shape) != tuple(np.shape(weight)):
            raise InputError(f"{variable.path} has shape {tuple(variable.shape)}. Received: {np.shape(weight)}.")
    for variable, weight in zip(variables, weights, strict=True):
        variable.assign(weight)
