"""The hyperparameters of an optimizer that can be moved while a compiled training runs."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from kerastrain._core.checks import Bounds, number
from kerastrain._core.errors import InputError, closest

# The bounds of what is on or off.
SWITCH: Mapping[str, Any] = {"switch": True}


def switched(name: str, value: Any) -> float:
    """1.0 for on and 0.0 for off. Raises InputError for anything but a boolean, 0 or 1."""
    if not isinstance(value, bool | int | float) or value not in (0, 1):
        raise InputError(f"`{name}` must be True or False. Received: {name}={value!r}.")
    return float(value)


class Hyperparameters(MutableMapping[str, Any]):
    """Name -> scalar optimizer variable. `hyperparameters["momentum"] = 0.9` assigns to the variable, once the number
    is found to be in its range.

    What is not here was baked into the compiled step as a Python number, and changing the attribute that it came from
    would do nothing; so asking for it raises, and says so.

    Args:
        variables: by name.
        owner: what messages call the optimizer.
        bounds: by name, the range of a number as `_core.checks.number` takes it.
        fixed: by name, why a hyperparameter is not there, or cannot be set.

    Raises:
        InputError: asked for what is not there; set what is not there or follows a schedule, or to a number that is out
            of range.

    Example:

    >>> import keras, kerastrain
    >>> optimizer = kerastrain.optimizers.ComposedOptimizer(keras.optimizers.AdamW(1e-3, weight_decay=1e-4))
    >>> optimizer.hyperparameters["weight_decay"] = 1e-2
    >>> sorted(optimizer.hyperparameters)
    ['learning_rate', 'plateau_multiplier', 'weight_decay']
    """

    def __init__(
        self,
        variables: Mapping[str, Any],
        owner: str,
        bounds: Bounds | None = None,
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        self._variables = dict(variables)
        self.owner = owner
        self.bounds = dict(bounds or {})
        self.fixed = dict(fixed or {})

    def __getitem__(self, name: str) -> Any:
        if name in self._variables:
            return self._variables[name]
        reason = self.fixed.get(
            name,
            "Keras's own rules bake their numbers into the compiled step; the rules of kerastrain.optimizers keep them "
            "in variables.",
        )
        raise InputError(
            f"`{name}` is not a hyperparameter of {self.owner} that can be moved during training. {reason}"
            f"{closest(name, self)} Known: {', '.join(sorted(self)) or 'none'}."
        )

    def __setitem__(self, name: str, value: Any) -> None:
        variable = self[name]
        if name in self.fixed:
            raise InputError(f"`{name}` of {self.owner} cannot be set. {self.fixed[name]}")
        bounds = self.bounds.get(name, {})
        variable.assign(switched(name, value) if bounds is SWITCH else number(name, value, **bounds))

    def __delitem__(self, name: str) -> None:
        raise InputError(f"`{name}` of {self.owner} cannot be removed. Set it to what switches it off.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __contains__(self, name: object) -> bool:
        return name in self._variables

    def __repr__(self) -> str:
        return f"Hyperparameters of {self.owner}: {', '.join(sorted(self)) or 'none'}"
