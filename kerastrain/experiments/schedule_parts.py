"""The learning-rate schedules that a recipe knows, and those that a rule's own hyperparameters may have.

A recipe counts in epochs; a schedule counts updates, so every schedule is made with the number of updates in an epoch
and the number of epochs.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import keras
from pydantic import Field, PlainValidator

from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import (
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Registry,
    UnitInterval,
    problem,
)
from kerastrain.optimizers import schedules

SCHEDULES = Registry("learning-rate schedule")


def number_or_schedule(null: bool = False, **bounds: Any) -> Callable[[Any], Any]:
    """A validator of a number within `bounds` (as `_core.checks.number` has them) or a schedule."""

    def validate(value: Any) -> Any:
        if value is None and null:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return number("value", value, **bounds)
            except InputError as error:
                expected = str(error).split(". ")[0].removeprefix("`value` must be ")
                raise problem((), f"expected {expected}, or a schedule", value) from None
        return SCHEDULES.validate(value)

    return validate


def made(value: Any, *, steps: int, epochs: int) -> Any:
    """The schedule of a validated mapping, for a run of `epochs` with `steps` updates each; anything else as it is."""
    return SCHEDULES.create(value, steps=steps, epochs=epochs) if isinstance(value, dict) else value


def _rate(value: Any) -> Any:
    found = number_or_schedule(above=0)(value)
    if isinstance(found, dict) and found["type"] == "one_cycle_momentum":
        raise problem(("type",), "`one_cycle_momentum` is for a rule's momentum; a rate's is `one_cycle`")
    return found


Rate = Annotated[float | dict[str, Any], PlainValidator(_rate)]


def _step_decay(
    initial: PositiveFloat, factor: PositiveFloat, every_epochs: PositiveInt, *, steps: int, epochs: int
) -> Any:
    return schedules.StepDecay(initial, factor, every_epochs * steps)


def _exponential_decay(initial: PositiveFloat, rate: NonNegativeFloat, *, steps: int, epochs: int) -> Any:
    return keras.optimizers.schedules.ExponentialDecay(initial, steps, math.exp(-rate))


def _inverse_time_decay(initial: PositiveFloat, rate: NonNegativeFloat, *, steps: int, epochs: int) -> Any:
    return keras.optimizers.schedules.InverseTimeDecay(initial, steps, rate)


def _polynomial_decay(
    initial: PositiveFloat,
    end: NonNegativeFloat = 0.0,
    power: PositiveFloat = 1.0,
    decay_epochs: PositiveInt | None = None,
    *,
    steps: int,
    epochs: int,
) -> Any:
    return keras.optimizers.schedules.PolynomialDecay(initial, (decay_epochs or epochs) * steps, end, power)


def _cosine_decay(
    initial: PositiveFloat,
    end_fraction: UnitInterval = 0.0,
    warmup_epochs: NonNegativeFloat = 0.0,
    decay_epochs: PositiveInt | None = None,
    *,
    steps: int,
    epochs: int,
) -> Any:
    warmup = round(warmup_epochs * steps)
    total = (decay_epochs or epochs) * steps
    if warmup >= total:
        raise InputError(f"`warmup_epochs` must be fewer than the epochs of the decay. Received: {warmup_epochs:g}.")
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(initial, total, alpha=end_fraction)
    return keras.optimizers.schedules.CosineDecay(
        0.0, total - warmup, alpha=end_fraction, warmup_target=initial, warmup_steps=warmup
    )


def _cosine_decay_restarts(
    initial: PositiveFloat,
    first_decay_epochs: PositiveInt,
    period_factor: PositiveFloat = 2.0,
    peak_factor: PositiveFloat = 1.0,
    end_fraction: UnitInterval = 0.0,
    *,
    steps: int,
    epochs: int,
) -> Any:
    return keras.optimizers.schedules.CosineDecayRestarts(
        initial, first_decay_epochs * steps, period_factor, peak_factor, end_fraction
    )


def _piecewise_constant_decay(
    boundary_epochs: Annotated[list[PositiveInt], Field(min_length=1)],
    values: Annotated[list[PositiveFloat], Field(min_length=2)],
    *,
    steps: int,
    epochs: int,
) -> Any:
    if len(values) != len(boundary_epochs) + 1 or sorted(set(boundary_epochs)) != boundary_epochs:
        raise InputError(
            "`boundary_epochs` must rise, and `values` must have one value more. "
            f"Received: boundary_epochs={boundary_epochs}, values={values}."
        )
    # Keras keeps the old value at the boundary step itself; an epoch's first step is to have the new one.
    return keras.optimizers.schedules.PiecewiseConstantDecay([epoch * steps - 1 for epoch in boundary_epochs], values)


def _warmup(
    schedule: Rate,
    warmup_epochs: PositiveFloat | None = None,
    shape: Literal["linear", "cosine", "cubic", "exponential"] = "linear",
    start_fraction: UnitInterval = 0.0,
    warmup_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None,
    *,
    steps: int,
    epochs: int,
) -> Any:
    if (warmup_epochs is None) == (warmup_fraction is None):
        raise InputError(
            "Exactly one of `warmup_epochs` and `warmup_fraction`, of the run, must be given. "
            f"Received: warmup_epochs={warmup_epochs}, warmup_fraction={warmup_fraction}."
        )
    if warmup_epochs is None:
        warmup_epochs = (warmup_fraction or 0) * epochs
    if warmup_epochs >= epochs:
        raise InputError(
            f"`warmup_epochs` must be below {epochs}, the epochs of the run, or the schedule would never begin. "
            f"Received: warmup_epochs={warmup_epochs:g}."
        )
    warmup = round(warmup_epochs * steps)
    inner = made(schedule, steps=steps, epochs=max(1, epochs - math.ceil(warmup_epochs)))
    return schedules.Warmup(inner, warmup, shape, start_fraction)


def _triangle(
    learning_rate: PositiveFloat,
    start: NonNegativeFloat = 0.0,
    peak: NonNegativeFloat = 1.0,
    end: NonNegativeFloat = 0.0,
    peak_fraction: UnitInterval = 0.5,
    *,
    steps: int,
    epochs: int,
) -> Any:
    return schedules.Triangle(learning_rate, epochs * steps, start, peak, end, peak_fraction)


def _one_cycle(
    maximal: PositiveFloat,
    rise_fraction: UnitInterval = 0.3,
    initial_divisor: PositiveFloat = 25.0,
    final_divisor: PositiveFloat = 1e4,
    shape: Literal["cosine", "linear"] = "cosine",
    *,
    steps: int,
    epochs: int,
) -> Any:
    return schedules.OneCycle(maximal, epochs * steps, rise_fraction, initial_divisor, final_divisor, shape)


def _one_cycle_momentum(
    minimal: UnitInterval = 0.85,
    maximal: UnitInterval = 0.95,
    rise_fraction: UnitInterval = 0.3,
    shape: Literal["cosine", "linear"] = "cosine",
    *,
    steps: int,
    epochs: int,
) -> Any:
    rate = schedules.OneCycle(1.0, epochs * steps, rise_fraction, shape=shape)
    return rate.momentum(minimal, maximal)


def _cyclical(
    initial: NonNegativeFloat,
    maximal: PositiveFloat,
    half_cycle_epochs: PositiveFloat,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Annotated[float, Field(gt=0, le=1)] = 1.0,
    *,
    steps: int,
    epochs: int,
) -> Any:
    return schedules.Cyclical(initial, maximal, max(1, round(half_cycle_epochs * steps)), mode, gamma)


def _stage(value: Any) -> Any:
    if not isinstance(value, dict) or set(value) - {"schedule", "epochs"} or "schedule" not in value:
        raise problem((), "expected a mapping with `schedule` and, but for the last stage, `epochs`", value)
    epochs = value.get("epochs")
    if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1):
        raise problem(("epochs",), "expected a whole number >= 1", epochs)
    return {"schedule": number_or_schedule(above=0)(value["schedule"]), "epochs": epochs}


def _sequence(
    stages: Annotated[list[Annotated[dict[str, Any], PlainValidator(_stage)]], Field(min_length=2)],
    *,
    steps: int,
    epochs: int,
) -> Any:
    *timed, last = stages
    if last["epochs"] is not None or any(stage["epochs"] is None for stage in timed):
        raise InputError("`stages`: every stage but the last must have `epochs`, and the last must not: it goes on.")
    left = epochs - sum(stage["epochs"] for stage in timed)
    if left < 1:
        raise InputError(
            f"`stages`: the last one would never begin, as those before it take {epochs - left} of the run's {epochs} "
            "epochs. Shorten them, or train for longer."
        )
    pairs = [(made(stage["schedule"], steps=steps, epochs=stage["epochs"]), stage["epochs"] * steps) for stage in timed]
    return schedules.Sequence([*pairs, made(last["schedule"], steps=steps, epochs=left)])


def _scaled(schedule: Rate, factor: NonNegativeFloat, *, steps: int, epochs: int) -> Any:
    return schedules.Scaled(made(schedule, steps=steps, epochs=epochs), factor)


def _per_epoch(schedule: Rate, *, steps: int, epochs: int) -> Any:
    return schedules.PerEpoch(made(schedule, steps=1, epochs=epochs), steps)


_RUN = ("steps", "epochs")
SCHEDULES.add("step_decay", _step_decay, "initial * factor^floor(epoch / every_epochs).", skip=_RUN)
SCHEDULES.add("exponential_decay", _exponential_decay, "initial * e^(-rate * epoch), at every step.", skip=_RUN)
SCHEDULES.add("inverse_time_decay", _inverse_time_decay, "initial / (1 + rate * epoch), at every step.", skip=_RUN)
SCHEDULES.add("polynomial_decay", _polynomial_decay, "From initial to end, linear at power 1.", skip=_RUN)
SCHEDULES.add("cosine_decay", _cosine_decay, "Half a cosine from initial down, after an optional warmup.", skip=_RUN)
SCHEDULES.add("cosine_decay_restarts", _cosine_decay_restarts, "Cosine decay that starts anew.", skip=_RUN)
SCHEDULES.add("piecewise_constant_decay", _piecewise_constant_decay, "A list of values by epoch.", skip=_RUN)
SCHEDULES.add("warmup", _warmup, "A ramp up to another schedule, which then begins.", skip=_RUN)
SCHEDULES.add("triangle", _triangle, "Up in a line, then down in a line, over the run.", skip=_RUN)
SCHEDULES.add("one_cycle", _one_cycle, "Smith's one cycle over the run: up, then far down.", skip=_RUN)
SCHEDULES.add("one_cycle_momentum", _one_cycle_momentum, "The momentum of a one-cycle run: down, then up.", skip=_RUN)
SCHEDULES.add("cyclical", _cyclical, "Up and down again and again between two rates.", skip=_RUN)
SCHEDULES.add("sequence", _sequence, "One schedule after another, each from its own beginning.", skip=_RUN)
SCHEDULES.add("scaled", _scaled, "A factor times another schedule.", skip=_RUN)
SCHEDULES.add("per_epoch", _per_epoch, "Another schedule, held constant within each epoch.", skip=_RUN)
