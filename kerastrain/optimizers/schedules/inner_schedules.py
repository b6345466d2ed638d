"""Schedules that other schedules hold: checked, evaluated, saved."""

from typing import Any

import keras

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeFloat
from kerastrain.optimizers.schedules.step_counts import as_rate, rate_dtype

Schedule = keras.optimizers.schedules.LearningRateSchedule | NonNegativeFloat


def checked_schedule(name: str, value: Any) -> Any:
    """`value`, when it is a schedule, or a number >= 0 as a float. Raises InputError otherwise."""
    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        return value
    if isinstance(value, str | dict) or callable(value):
        raise InputError(
            f"`{name}` must be a schedule (a keras.optimizers.schedules.LearningRateSchedule) or a number >= 0. "
            f"Received: {name}={value!r}. Pass an instance; a number is a constant rate."
        )
    return number(name, value, minimum=0, remedy="Or pass a schedule; a number is a constant rate.")


def rate_at(schedule: Any, step: Any) -> Any:
    """The rate of a schedule, or of a constant, at the step tensor."""
    if isinstance(schedule, float):
        return keras.ops.full_like(step, schedule, dtype=rate_dtype())
    return as_rate(schedule(step))


def saved(schedule: Any) -> Any:
    """A schedule, or a constant, as a config holds it."""
    return keras.saving.serialize_keras_object(schedule)


def restored(config: Any) -> Any:
    """What `saved` was given."""
    return keras.saving.deserialize_keras_object(config) if isinstance(config, dict) else config
