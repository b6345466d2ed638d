"""An optimizer's state by name, and refused where names or classes differ."""

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._core import keras_optimizer
from kerastrain._core.errors import InputError
from kerastrain._core.names import unnumbered
from kerastrain.optimizers.paths import path_of, slot_prefix
from kerastrain.optimizers.stack import Stack

_ABOUT = "about"


@dataclasses.dataclass
class _Entry:
    """One named array of a file: a variable of the optimizer, or the part of one that belongs to a model's variable."""

    name: str
    variable: keras.Variable
    # Of the model's variable in the list that the optimizer was built with; -1 for what belongs to none.
    place: int = -1
    stack: Stack | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        if self.stack is None or tuple(self.variable.shape) == ():
            return tuple(self.variable.shape)
        return self.stack.shapes[self.stack.places.index(self.place)]


def names(optimizer: Any) -> list[str]:
    """A distinct name for each array of the optimizer's state.

    A slot is named by its variable's path, less what all paths begin with: a Sequential model's name is in front of its
    paths until it is saved, and in a loaded one it is not. The slot of a stack of variables is as many arrays, named as
    those of variables by themselves.
    """
    return [entry.name for entry in _entries(optimizer)]


def _entries(optimizer: Any) -> list[_Entry]:
    variables = keras_optimizer.built_with(optimizer)
    paths = [path_of(variable).split("/") for variable in variables]
    shared = _shared_start(paths)
    stable = {"_".join(path): "/".join(path[shared:]) for path in paths}
    places: dict[str, int] = {}
    for place, path in enumerate(paths):
        places.setdefault("_".join(path), place)
    found = []
    for units, section in optimizer.state_sections():
        entries = [entry for variable in section for entry in _of_variable(optimizer, variable, units, stable, places)]
        # In the order of the variables, whatever stands for them.
        found += sorted(entries, key=lambda entry: entry.place) if optimizer.stacks else entries
    seen: dict[str, int] = {}
    for entry in found:
        seen[entry.name] = seen.get(entry.name, 0) + 1
        if seen[entry.name] > 1:
            entry.name = f"{entry.name}#{seen[entry.name]}"
    return found


def _of_variable(
    optimizer: Any, variable: Any, units: Sequence[Any], stable: dict[str, str], places: dict[str, int]
) -> list[_Entry]:
    for stack in optimizer.stacks:
        prefix = slot_prefix(stack.whole)
        if variable.name.startswith(prefix):
            slot = variable.name.removeprefix(prefix)
            named = [f"{slot_prefix(member)}{slot}" for member in stack.variables]
            return [
                _Entry(_stable(name, stable), variable, place, stack)
                for name, place in zip(named, stack.places, strict=True)
            ]
    number = re.fullmatch(r"lookahead_momentum_(\d+)", variable.name)
    if number and optimizer.stacks and units:
        return _lookahead_momentums(optimizer, variable, units, int(number[1]))
    owner = next((places[start] for start in _starts(variable.name) if start in places), -1)
    return [_Entry(_stable(variable.name, stable), variable, owner)]


def _lookahead_momentums(optimizer: Any, variable: Any, units: Sequence[Any], number: int) -> list[_Entry]:
    """Those of a stack's variables, which have one in common; by themselves they are numbered within the rule."""
    of_unit = {id(stack.whole): stack for stack in optimizer.stacks}
    members = [
        (place, index)
        for index, unit in enumerate(units)
        for place in (of_unit[id(unit)].places if id(unit) in of_unit else [keras_optimizer.index_of(optimizer, unit)])
    ]
    return [
        _Entry(f"lookahead_momentum_{rank}", variable, place, of_unit.get(id(units[number])))
        for rank, (place, index) in enumerate(sorted(members))
        if index == number
    ]


def _starts(name: str) -> list[str]:
    parts = name.split("_")
    return ["_".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]


def _shared_start(paths: Sequence[Sequence[str]]) -> int:
    shortest = min((len(path) for path in paths), default=1)
    shared = 0
    while shared < shortest - 1 and len({path[shared] for path in paths}) == 1:
        shared += 1
    return shared


def _stable(name: str, stable: dict[str, str]) -> str:
    for start in _starts(name):
        if start in stable:
            return f"{stable[start]}:{name[len(start) + 1 :]}".replace("/", ".")
    return name


def save(optimizer: Any, store: Any) -> None:
    """Write each variable under its name, and `about`, JSON in bytes: classes and the order of names."""
    entries = _entries(optimizer)
    own = [entry.name for entry in entries]
    about = {"schema": 1, "built": bool(optimizer.built), "classes": optimizer.signature(), "names": own}
    store[_ABOUT] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    for entry in entries:
        value = keras.ops.convert_to_numpy(entry.variable)
        if entry.stack is not None and value.shape:
            value = entry.stack.parts(value)[entry.stack.places.index(entry.place)]
        store[entry.name] = value


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
        optimizer_scalars = {entry.name: entry.variable for entry in _entries(optimizer) if entry.stack is None}
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
    # Slot by slot, each in the order of the variables: a rule makes all of its slots for one variable, and then those
    # of the next, which may stand for many.
    ordered, others = sorted(own, key=_slot), sorted(saved, key=_slot)
    if [unnumbered(name) for name in ordered] == [unnumbered(name) for name in others]:
        known = dict(zip(ordered, others, strict=True))
        return [known[name] for name in own]
    missing = [name for name in own if name not in set(saved)]
    extra = [name for name in saved if name not in set(own)]
    raise InputError(
        f"The saved {kind} belongs to other variables; nothing was loaded. Here and not in the file: "
        f"{_listed(missing)}. In the file and not here: {_listed(extra)}."
    )


def _listed(found: Sequence[str]) -> str:
    return (", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")) or "none"


def _slot(name: str) -> str:
    """What is kept of a variable, in the name of it; nothing for what belongs to none."""
    return name.partition(":")[2]


def _assign(optimizer: Any, saved_names: list[str], store: Any) -> None:
    entries = _entries(optimizer)
    values = [np.asarray(store[name]) for name in saved_names]
    differing = [
        f"{entry.name}: saved {value.shape}, here {entry.shape}"
        for entry, value in zip(entries, values, strict=True)
        if value.shape != entry.shape
    ]
    if differing:
        raise InputError(
            f"The saved {type(optimizer).__name__} has other shapes; nothing was loaded. " + "; ".join(differing) + "."
        )
    found: dict[int, list[tuple[_Entry, np.ndarray]]] = {}
    for entry, value in zip(entries, values, strict=True):
        found.setdefault(id(entry.variable), []).append((entry, value))
    whole = [
        (parts[0][0].variable, _whole([entry for entry, _ in parts], [v for _, v in parts])) for parts in found.values()
    ]
    for variable, value in whole:
        variable.assign(value)


def _whole(entries: Sequence[_Entry], parts: Sequence[np.ndarray]) -> np.ndarray:
    stack = entries[0].stack
    if stack is None:
        return parts[0]
    if parts[0].shape == () and tuple(entries[0].variable.shape) == ():
        if any(part != parts[0] for part in parts):
            raise InputError(
                f"The saved {entries[0].name} and {entries[-1].name} differ, and their variables are updated as one; "
                "nothing was loaded. Compile with ComposedOptimizer(..., fused=False)."
            )
        return parts[0]
    by_place = {entry.place: part for entry, part in zip(entries, parts, strict=True)}
    return stack.whole_of([by_place[place] for place in stack.places])


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
