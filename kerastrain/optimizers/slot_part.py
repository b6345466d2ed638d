"""What the parts in the slots of a composed optimizer have in common."""

import inspect
from typing import Any, Self

import keras

from kerastrain._core.errors import InputError
from kerastrain._core.names import call_of, snake_case


class SlotPart:
    """A gradient transform or an average: it belongs to one optimizer, and keeps its state in that one's variables."""

    _optimizer: keras.optimizers.Optimizer | None = None

    def __init__(self) -> None:
        self.hyperparameters: dict[str, keras.Variable] = {}

    @property
    def name(self) -> str:
        """The class's name in snake case, as a recipe spells it."""
        return snake_case(type(self).__name__)

    @property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer that this part belongs to.

        Raises:
            InputError: it belongs to none yet.
        """
        if self._optimizer is None:
            raise InputError(f"{type(self).__name__} belongs to no optimizer yet. Give it to a ComposedOptimizer.")
        return self._optimizer

    def attach(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Belong to `optimizer`.

        Raises:
            InputError: it belongs to an optimizer already.
        """
        if self._optimizer is not None:
            raise InputError(
                f"This {type(self).__name__} belongs to another optimizer already, and has its state there. Make a new "
                f"one: {type(self).__name__}(...)."
            )
        if "hyperparameters" not in self.__dict__:
            raise InputError(f"`__init__` of {type(self).__name__} must call `super().__init__()`.")
        self._optimizer = optimizer

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and name in inspect.signature(type(self)).parameters:
            if self._optimizer is None:
                remedy = f"Make a new one: {type(self).__name__}(...)."
            elif name in self.hyperparameters:
                remedy = f"Set the optimizer's hyperparameters[{f'{self.name}.{name}'!r}]."
            else:
                remedy = "It is part of the compiled step: make a new optimizer with a new one."
            raise InputError(
                f"`{name}` of this {type(self).__name__} cannot be changed. Received: {name}={value!r}. {remedy}"
            )
        super().__setattr__(name, value)

    def check_config(self) -> None:
        """Raise InputError where `get_config` leaves an argument out: it would be lost when the optimizer is saved."""
        arguments = inspect.signature(type(self)).parameters.values()
        named = [one.name for one in arguments if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
        lost = [name for name in named if name not in self.get_config()]
        if lost:
            raise InputError(
                f"`get_config` of {type(self).__name__} must return {', '.join(lost)}, which would be lost when the "
                "optimizer is saved."
            )

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)
