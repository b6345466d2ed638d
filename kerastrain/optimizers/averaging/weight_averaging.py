"""What every averaging of weights has in common."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kerastrain._core import tensor_lists
from kerastrain._core.conditional import conditional
from kerastrain.optimizers.slot_part import SlotPart


class WeightAveraging(SlotPart):
    """Averages of the trainable variables over the updates, in optimizer variables; slot 3 of `ComposedOptimizer`.

    A subclass says by `due` at which updates the average moves, and by `decay_at` how much of it stays:
    `average <- d * average + (1 - d) * theta`. Updates are counted from 1.
    """

    # Whether the averages are the weights until they begin, so that they can be used at any time.
    follows: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.averages: list[keras.Variable] = []

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make one average for each trainable variable."""
        self.averages = self.optimizer.add_optimizer_variables(list(variables), "average")

    def due(self, update: Any) -> Any:
        """Whether the average moves at this update, a boolean tensor; None for always."""
        return None

    def decay_at(self, update: Any) -> Any:
        """How much of the average stays, in [0, 1]."""
        raise NotImplementedError

    def first_update(self) -> int:
        """The number of updates after which the averages are more than a copy of the weights."""
        return 1

    def before_update(self, iterations: Any, variables: Sequence[keras.Variable]) -> None:
        """Called with all trainable variables before they are updated."""

    def after_update(self, iterations: Any, variables: Sequence[keras.Variable]) -> None:
        """Called with all trainable variables once they are updated, constraints included."""
        update = iterations + 1
        due = self.due(update)
        if due is None:
            self._move(update, variables)
            return
        conditional(due, lambda: self._move(update, variables), variables=[*variables, *self._kept()])

    def _move(self, update: Any, variables: Sequence[keras.Variable]) -> None:
        averages, sources = self._pairs(variables)
        tensor_lists.blend_into(averages, sources, self.decay_at(update))

    def _pairs(self, variables: Sequence[keras.Variable]) -> tuple[list[keras.Variable], list[keras.Variable]]:
        pairs = [
            (average, variable)
            for average, variable in zip(self.averages, variables, strict=True)
            if average is not None  # Keras leaves them out for variables that their gradient overwrites.
        ]
        return [average for average, _ in pairs], [variable for _, variable in pairs]

    def _kept(self) -> list[keras.Variable]:
        return [average for average in self.averages if average is not None]


def nth(update: Any, start_step: int, every_steps: int = 1) -> Any:
    """How many averaged iterates there are at `update`, float32 and at least 1: of those `every_steps` apart after
    `start_step`."""
    counted = update - start_step
    if every_steps != 1:  # A division of integers is a dozen operations, in the update of every variable on JAX.
        counted = keras.ops.floor_divide(counted, every_steps)
    return keras.ops.cast(keras.ops.maximum(counted, 1), "float32")
