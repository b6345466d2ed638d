"""When a checkpoint is due."""

import time

from kerastrain._core.checks import number, whole_number
from kerastrain._core.errors import InputError


class SaveTimes:
    """By epochs, by steps, by minutes since the last one; None for not by that.

    Args:
        every_epochs: a whole number >= 1.
        every_steps: a whole number >= 1.
        every_minutes: a number > 0.

    Raises:
        InputError: an argument out of range, or all are None.
    """

    def __init__(self, every_epochs: int | None, every_steps: int | None, every_minutes: float | None) -> None:
        self.every_epochs = None if every_epochs is None else whole_number("every_epochs", every_epochs)
        self.every_steps = None if every_steps is None else whole_number("every_steps", every_steps)
        self.every_minutes = None if every_minutes is None else number("every_minutes", every_minutes, above=0)
        if every_epochs is None and every_steps is None and every_minutes is None:
            raise InputError("One of `every_epochs`, `every_steps` and `every_minutes` must say when to save.")
        self.saved()

    def saved(self) -> None:
        """Count from now."""
        self._saved_at, self._steps = time.monotonic(), 0

    def count(self, steps: int) -> None:
        """So many steps more are done."""
        self._steps += steps

    def due_behind(self, epochs: int) -> bool:
        """Whether to save when so many epochs are done."""
        by_epochs = self.every_epochs is not None and epochs % self.every_epochs == 0
        return by_epochs or self.due_within_epoch()

    def due_within_epoch(self) -> bool:
        """Whether to save by steps or by minutes."""
        by_minutes = self.every_minutes is not None and time.monotonic() - self._saved_at >= 60 * self.every_minutes
        return self.due_by_steps() or by_minutes

    def due_by_steps(self) -> bool:
        """Whether to save by steps, which several processes know of one another."""
        return self.every_steps is not None and self._steps >= self.every_steps
