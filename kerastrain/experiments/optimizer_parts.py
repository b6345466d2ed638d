"""The names that a recipe's `optimizer` section knows, and what they make.

Keras's own rules, schedules, clipping and moving average fill the slots. A recipe counts in epochs; a schedule counts
steps, so every schedule is made with the number of steps in an epoch and the number of epochs.
"""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any

import keras
from pydantic import Field

from kerastrain._core.errors import InputError
from kerastrain._core.registry import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Registry, UnitInterval

RULES = Registry("optimizer rule")
SCHEDULES = Registry("learning-rate schedule")
GRADIENT_TRANSFORMS = Registry("gradient transform")
AVERAGING = Registry("averaging")

# What the recipe's other slots decide, so a rule does not take it as well.
_SLOTS = (
    "learning_rate",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "name",
)
_DECAY = {"weight_decay": NonNegativeFloat | None}
_MOMENTS = {"beta_1": Fraction, "beta_2": Fraction, "epsilon": NonNegativeFloat}


def _rule(name: str, optimizer: type, description: str, **annotations: Any) -> None:
    RULES.add(name, optimizer, description, skip=_SLOTS, **{**_DECAY, **annotations})


_rule("sgd", keras.optimizers.SGD, "Gradient descent, with momentum and Nesterov's form.", momentum=UnitInterval)
_rule("adam", keras.optimizers.Adam, "Adam: momentum and per-parameter rates, bias-corrected.", **_MOMENTS)
_rule("adamw", keras.optimizers.AdamW, "Adam with decoupled weight decay.", **_MOMENTS)
_rule("nadam", keras.optimizers.Nadam, "Adam with Nesterov momentum.", **_MOMENTS)
_rule("adamax", keras.optimizers.Adamax, "Adam with the infinity norm.", **_MOMENTS)
_rule(
    "rmsprop",
    keras.optimizers.RMSprop,
    "Per-parameter rates from a moving average of squared gradients.",
    rho=Fraction,
    momentum=UnitInterval,
    epsilon=NonNegativeFloat,
)
_rule(
    "adagrad",
    keras.optimizers.Adagrad,
    "Per-parameter rates from the sum of squared gradients.",
    initial_accumulator_value=NonNegativeFloat,
    epsilon=NonNegativeFloat,
)
_rule(
    "adadelta",
    keras.optimizers.Adadelta,
    "RMSProp without a rate to choose; the paper's learning_rate is 1.0.",
    rho=Fraction,
    epsilon=NonNegativeFloat,
)
_rule("lion", keras.optimizers.Lion, "Sign of an interpolated momentum.", beta_1=Fraction, beta_2=Fraction)
_rule("muon", keras.optimizers.Muon, "Orthogonalized momentum for matrices, AdamW for the rest.", rms_rate=UnitInterval)


def _step_decay(
    initial: PositiveFloat, factor: PositiveFloat, every_epochs: PositiveInt, *, steps: int, epochs: int
) -> Any:
    return keras.optimizers.schedules.ExponentialDecay(initial, every_epochs * steps, factor, staircase=True)


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


_RUN = ("steps", "epochs")
SCHEDULES.add("step_decay", _step_decay, "initial * factor^floor(epoch / every_epochs).", skip=_RUN)
SCHEDULES.add("exponential_decay", _exponential_decay, "initial * e^(-rate * epoch), at every step.", skip=_RUN)
SCHEDULES.add("inverse_time_decay", _inverse_time_decay, "initial / (1 + rate * epoch), at every step.", skip=_RUN)
SCHEDULES.add("polynomial_decay", _polynomial_decay, "From initial to end, linear at power 1.", skip=_RUN)
SCHEDULES.add("cosine_decay", _cosine_decay, "Half a cosine from initial down, after an optional warmup.", skip=_RUN)
SCHEDULES.add("cosine_decay_restarts", _cosine_decay_restarts, "Cosine decay that starts anew.", skip=_RUN)
SCHEDULES.add("piecewise_constant_decay", _piecewise_constant_decay, "A list of values by epoch.", skip=_RUN)


def _clip_by_value(min_value: float, max_value: PositiveFloat) -> dict[str, float]:
    if min_value != -max_value:
        raise InputError(
            "`min_value` must be -`max_value`: Keras's optimizers clip by value symmetrically. "
            f"Received: min_value={min_value:g}, max_value={max_value:g}."
        )
    return {"clipvalue": max_value}


def _clip_by_norm(max_norm: PositiveFloat) -> dict[str, float]:
    return {"clipnorm": max_norm}


def _clip_by_global_norm(max_norm: PositiveFloat) -> dict[str, float]:
    return {"global_clipnorm": max_norm}


GRADIENT_TRANSFORMS.add("clip_by_value", _clip_by_value, "Each element into [min_value, max_value].")
GRADIENT_TRANSFORMS.add("clip_by_norm", _clip_by_norm, "Each variable's gradient to at most max_norm.")
GRADIENT_TRANSFORMS.add("clip_by_global_norm", _clip_by_global_norm, "All gradients together to at most max_norm.")


def _exponential(decay: Fraction = 0.99, every_steps: PositiveInt | None = None) -> dict[str, Any]:
    return {"use_ema": True, "ema_momentum": decay, "ema_overwrite_frequency": every_steps}


AVERAGING.add(
    "exponential",
    _exponential,
    "Exponential moving average of the weights; the model holds it at the end, and with every_steps also on the way.",
)


def build_optimizer(
    section: dict[str, Any], *, steps: int, epochs: int, accumulation: int = 1, variables: Sequence[Any] = ()
) -> keras.optimizers.Optimizer:
    """The Keras optimizer of a validated `optimizer` section.

    Args:
        section: `rule`, `learning_rate`, `gradient_transforms`, `groups`, `averaging`, as in a recipe.
        steps: steps in an epoch, for the schedules.
        epochs: epochs of the run, for the schedules that span it.
        accumulation: batches whose gradients are averaged before one update.
        variables: the model's trainable variables, which the patterns of `groups` are searched in.

    Raises:
        InputError: more than one clipping transform (Keras's are exclusive), or a pattern that matches no variable.
    """
    keywords: dict[str, Any] = {}
    transforms = section.get("gradient_transforms") or []
    if len(transforms) > 1:
        raise InputError("`optimizer.gradient_transforms`: Keras's optimizers take one clipping, not several.")
    for transform in transforms:
        keywords.update(GRADIENT_TRANSFORMS.create(transform))
    if section.get("averaging") is not None:
        keywords.update(AVERAGING.create(section["averaging"]))
    if accumulation > 1:
        keywords["gradient_accumulation_steps"] = accumulation
    rate = section["learning_rate"]
    if isinstance(rate, dict):
        rate = SCHEDULES.create(rate, steps=steps, epochs=epochs)
    optimizer = RULES.create(section["rule"], learning_rate=rate, **keywords)
    patterns = [group["pattern"] for group in section.get("groups") or []]
    excluded = [variable for pattern in patterns for variable in _matching(pattern, variables)]
    if excluded:
        optimizer.exclude_from_weight_decay(var_list=excluded)
    return optimizer


def _matching(pattern: str, variables: Sequence[Any]) -> list[Any]:
    matched = [variable for variable in variables if re.search(pattern, variable.path)]
    if variables and not matched:
        paths = ", ".join(variable.path for variable in list(variables)[:5])
        raise InputError(
            f"`optimizer.groups`: the pattern {pattern!r} matches no trainable variable. The paths begin with: {paths}."
        )
    return matched
