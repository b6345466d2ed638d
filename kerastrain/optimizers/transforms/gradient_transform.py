"""What every gradient transform has in common."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kerastrain._core.checks import Bounds
from kerastrain._core.errors import InputError
from kerastrain._core.names import call_of, snake_case


class GradientTransform:
    """A function of all gradients of a step, with its state in optimizer variables; slot 1 of `ComposedOptimizer`.

    A subclass defines `transform`, and where it has them `hyperparameter_values` and `build`. Register it with
    `keras.saving.register_keras_serializable` and return its arguments from `get_config`, so that it is saved.

    Example, gradients of which only the sign is kept:

    >>> import keras
    >>> class SignOfGradients(GradientTransform):
    ...     def transform(self, gradients, variables):
    ...         return [keras.ops.sign(gradient) for gradient in gradients]
    >>> SignOfGradients().name
    'sign_of_gradients'
    """

    # The range of each hyperparameter, as `_core.checks.number` takes it.
    bounds: ClassVar[Bounds] = {}

    def __init__(self) -> None:
        self.hyperparameters: dict[str, keras.Variable] = {}
        self._optimizer: keras.optimizers.Optimizer | None = None

    @property
    def name(self) -> str:
        """The class's name in snake case, as a recipe spells it."""
        return snake_case(type(self).__name__)

    @property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer that this transform belongs to.

        Raises:
            InputError: it belongs to none yet.
        """
        if self._optimizer is None:
            raise InputError(f"{type(self).__name__} belongs to no optimizer yet. Give it to a ComposedOptimizer.")
        return self._optimizer

    def hyperparameter_values(self) -> dict[str, float]:
        """Name -> initial value of what may be moved during training."""
        return {}

    def attach(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Make the hyperparameters' variables in `optimizer`, which this transform belongs to from now on.

        Raises:
            InputError: it belongs to an optimizer already.
        """
        if self._optimizer is not None:
            raise InputError(
                f"This {type(self).__name__} belongs to another optimizer already, and has its state there. Make a new "
                f"one: {type(self).__name__}(...)."
            )
        self._optimizer = optimizer
        for name, value in self.hyperparameter_values().items():
            self.hyperparameters[name] = optimizer.add_variable(
                (), keras.initializers.Constant(value), name=f"{self.name}_{name}"
            )

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the state, one time, for the trainable variables whose gradients will come."""

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """The new gradients, in the order of `variables`. Traced into the compiled step: no Python `if` on tensors."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GradientTransform":
        return cls(**config)
