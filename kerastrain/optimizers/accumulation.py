"""Gradients of several batches, averaged before one update."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from kerastrain._core import keras_optimizer
from kerastrain._core.conditional import conditional


class Accumulation:
    """The sums of the gradients since the last update, in variables of `optimizer`.

    A plain object, so that Keras does not look for state in it.

    Args:
        optimizer: whose variables the sums are.
        steps: batches to an update.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, steps: int) -> None:
        self.steps = steps
        self._optimizer = optimizer
        self._batches = optimizer.add_variable((), dtype="int32", name="accumulated_batches")
        self._sums: dict[Any, Any] = {}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make a sum for each variable, or for what stands for several."""
        sums = self._optimizer.add_optimizer_variables(list(variables), "gradient_accumulator")
        keys = [keras_optimizer.key_of(self._optimizer, variable) for variable in variables]
        self._sums = dict(zip(keys, sums, strict=True))

    def step(
        self, gradients: Sequence[Any], variables: Sequence[Any], update: Callable[[list[Any], list[Any]], None]
    ) -> None:
        """Add the gradients of one batch; with the last one, call `update` with the averages."""
        sums = [self._sums[keras_optimizer.key_of(self._optimizer, variable)] for variable in variables]

        def finish() -> None:
            pairs = zip(gradients, sums, strict=True)
            update([(gradient + accumulated) / self.steps for gradient, accumulated in pairs], list(variables))
            for accumulated in sums:
                accumulated.assign(keras.ops.zeros(accumulated.shape, accumulated.dtype))
            self._batches.assign(0)

        def add() -> None:
            for gradient, accumulated in zip(gradients, sums, strict=True):
                accumulated.assign_add(gradient)
            self._batches.assign_add(1)

        everything = [*keras_optimizer.built_with(self._optimizer), *self._optimizer.variables]
        conditional(self._batches + 1 >= self.steps, finish, add, variables=everything)
