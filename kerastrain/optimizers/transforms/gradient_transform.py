"""What every gradient transform has in common."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kerastrain._core.checks import Bounds
from kerastrain._core.errors import InputError
from kerastrain.optimizers.slot_part import SlotPart


class GradientTransform(SlotPart):
    """A function of all gradients of a step, with its state in optimizer variables; slot 1 of `ComposedOptimizer`.

    A subclass defines `transform`, and where it has them `hyperparameter_values` and `build`. Register it with
    `keras.saving.register_keras_serializable` and return its arguments from `get_config`, so that it is saved. It must
    return gradients in the shapes of the variables.

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
    # Whether it matters which elements belong to one variable. A transform that says False may be given gradients that
    # were joined, and variables that stand for several: elementwise ones, and those that take one norm of all.
    by_variable: ClassVar[bool] = True

    def hyperparameter_values(self) -> dict[str, float]:
        """Name -> initial value of what may be moved during training."""
        return {}

    def attach(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Make the hyperparameters' variables in `optimizer`, which this transform belongs to from now on.

        Raises:
            InputError: it belongs to an optimizer already.
        """
        super().attach(optimizer)
        for name, value in self.hyperparameter_values().items():
            self.hyperparameters[name] = optimizer.add_variable(
                (), keras.initializers.Constant(value), name=f"{self.name}_{name}"
            )

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make the state, one time, for the trainable variables whose gradients will come."""

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """The new gradients, in the order of `variables`. Traced into the compiled step: no Python `if` on tensors."""
        raise NotImplementedError


def transformed(
    transforms: Sequence[GradientTransform], gradients: Sequence[Any], variables: Sequence[Any]
) -> list[Any]:
    """What `transforms` make of the gradients, one after another. Raises InputError where one loses some of them."""
    found = list(gradients)
    for transform in transforms if found else ():
        returned = transform.transform(found, variables)
        if not isinstance(returned, list | tuple) or len(returned) != len(found):
            received = f"{len(returned)}" if isinstance(returned, list | tuple) else repr(returned)
            raise InputError(
                f"`transform` of {type(transform).__name__} must return a list of one gradient for each of the "
                f"{len(found)} variables. Received: {received}."
            )
        for gradient, variable in zip(returned, variables, strict=True):
            if tuple(getattr(gradient, "shape", (None,))) != tuple(variable.shape):
                received = "None" if gradient is None else f"shape {tuple(getattr(gradient, 'shape', ()))}"
                raise InputError(
                    f"`transform` of {type(transform).__name__} must return gradients in the shapes of the variables. "
                    f"Expected for {getattr(variable, 'path', variable.name)}: {tuple(variable.shape)}. "
                    f"Received: {received}."
                )
        found = list(returned)
    return found
