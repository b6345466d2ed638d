"""Schedules one after another."""

import collections.abc
from typing import Any

import keras

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.names import call_of
from kerastrain.optimizers.schedules.inner_schedules import checked_schedule, rate_at, restored, saved
from kerastrain.optimizers.schedules.step_counts import as_step, since


@keras.saving.register_keras_serializable(package="kerastrain")
class Sequence(keras.optimizers.schedules.LearningRateSchedule):
    """Schedules one after another, each counting from its own step 0.

        rate(step) = schedules[i](step - begin[i])   for begin[i] <= step < begin[i + 1]

    where begin[i] is the sum of the lengths before i. The last schedule has no length: it goes on.

    Use it for what one schedule cannot say: a constant rate and then a fall, a second cycle lower than the first. For a
    warmup, `Warmup` takes the height from the schedule itself. For constant values only,
    `keras.optimizers.schedules.PiecewiseConstantDecay` is shorter; mind that it changes one step after its boundary.

    Args:
        schedules: at least two entries: pairs `(schedule, steps)`, and at the end a schedule alone. A number >= 0 in
            place of a schedule is a constant rate; the steps are optimizer updates, ints >= 1.
        name: a name for its operations.

    Raises:
        InputError: fewer than two entries, one without a length before the last, a length at the last, or a length or
            schedule out of range.

    Example:

    >>> schedule = Sequence([(0.1, 100), (0.01, 50), keras.optimizers.schedules.InverseTimeDecay(0.008, 1, 1.0)])
    >>> [round(float(schedule(step)), 6) for step in (0, 99, 100, 149, 150, 151)]
    [0.1, 0.1, 0.01, 0.01, 0.008, 0.004]

    Reference: `optax.join_schedules(schedules, boundaries)`, equal, with boundaries instead of lengths.
    `torch.optim.lr_scheduler.SequentialLR` is alike; its schedulers work on one shared rate and may carry it over.
    """

    def __init__(self, schedules: collections.abc.Sequence[Any], name: str = "Sequence") -> None:
        super().__init__()
        if isinstance(schedules, str) or not isinstance(schedules, collections.abc.Sequence) or len(schedules) < 2:
            raise InputError(
                "`schedules` must be a list of at least two entries: pairs (schedule, steps), then a schedule. "
                f"Received: schedules={schedules!r}."
            )
        *timed, last = schedules
        self._timed = [_pair(index, entry) for index, entry in enumerate(timed)]
        if isinstance(last, list | tuple):
            raise InputError(
                f"`schedules[{len(timed)}]`, the last one, must be a schedule or a number alone, as it goes on. "
                f"Received: {last!r}."
            )
        self._last = checked_schedule(f"schedules[{len(timed)}]", last)
        self.schedules = [*self._timed, self._last]
        self.name = name

    def __call__(self, step: Any) -> Any:
        with keras.name_scope(self.name):
            step = as_step(step)
            following = [schedule for schedule, _ in self._timed[1:]] + [self._last]
            rate = rate_at(self._timed[0][0], step)
            begin = 0
            for (_, length), schedule in zip(self._timed, following, strict=True):
                begin += length
                rate = keras.ops.where(step >= begin, rate_at(schedule, since(step, begin)), rate)
            return rate

    def __repr__(self) -> str:
        return call_of(self)

    def get_config(self) -> dict[str, Any]:
        pairs: list[Any] = [[saved(schedule), steps] for schedule, steps in self._timed]
        return {"schedules": [*pairs, saved(self._last)], "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Sequence":
        *timed, last = config["schedules"]
        pairs: list[Any] = [(restored(schedule), steps) for schedule, steps in timed]
        return cls(**{**config, "schedules": [*pairs, restored(last)]})


def _pair(index: int, entry: Any) -> tuple[Any, int]:
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        raise InputError(
            f"`schedules[{index}]` must be a pair (schedule, steps); only the last entry has no length. "
            f"Received: {entry!r}."
        )
    schedule, steps = entry
    return checked_schedule(f"schedules[{index}][0]", schedule), whole_number(f"schedules[{index}][1]", steps)
