"""The names that a recipe's `optimizer` section knows around the rule, and the optimizer that the section makes."""

import re
from typing import Annotated, Any

import keras
from pydantic import AfterValidator, Field, PlainValidator

from kerastrain import optimizers
from kerastrain._core.errors import closest
from kerastrain._core.names import snake_case
from kerastrain._core.registry import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Registry,
    problem,
)
from kerastrain.experiments.rule_parts import RULES
from kerastrain.experiments.schedule_parts import made, number_or_schedule

GRADIENT_TRANSFORMS = Registry("gradient transform")
GROUPS = Registry("parameter group")
AVERAGING = Registry("averaging")

_TRANSFORMS = (
    (optimizers.ClipByValue, "Each element into [min_value, max_value]."),
    (optimizers.ClipByNorm, "Each variable's gradient to at most max_norm."),
    (optimizers.ClipByGlobalNorm, "All gradients together to at most max_norm."),
    (optimizers.AdaptiveClip, "Each unit's gradient to at most factor times the norm of its weights."),
    (optimizers.NormalizeGradients, "The gradient divided by its norm."),
    (optimizers.CentralizeGradients, "The mean over a unit's inputs taken off its gradient."),
    (optimizers.AddGradientNoise, "Gaussian noise that fades over the updates."),
    (optimizers.RecordGradientNorms, "Norms at this place of the list, for callbacks to read."),
    (optimizers.SkipNonFinite, "A step with a non-finite gradient changes nothing and is counted; first in the list."),
)
for _transform, _description in _TRANSFORMS:
    GRADIENT_TRANSFORMS.add(snake_case(_transform.__name__), _transform, _description)


_Transform = Annotated[dict[str, Any], PlainValidator(GRADIENT_TRANSFORMS.validate)]


def _regular_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise problem((), f"expected a regular expression ({error})", pattern) from None
    return pattern


_Pattern = Annotated[str, Field(min_length=1), AfterValidator(_regular_expression)]


def _parameter_group(
    pattern: _Pattern,
    learning_rate_multiplier: NonNegativeFloat = 1.0,
    weight_decay: NonNegativeFloat | None = None,
    l2: NonNegativeFloat | None = None,
    gradient_transforms: list[_Transform] = [],  # noqa: B006 - a default that pydantic copies
    trainable: bool = True,
    name: str | None = None,
    *,
    model: keras.Model | None,
) -> list[optimizers.ParameterGroup]:
    transforms = [GRADIENT_TRANSFORMS.create(transform) for transform in gradient_transforms]
    return [
        optimizers.ParameterGroup(pattern, learning_rate_multiplier, weight_decay, l2, transforms, trainable, name=name)
    ]


def _layer_type(name: Any) -> str:
    known = [kind for kind in dir(keras.layers) if kind[0].isupper()]
    if name not in known:
        message = "expected the name of a class in keras.layers, such as BatchNormalization"
        raise problem((), f'{message}. Received: "{name}".{closest(name, known)}'.rstrip("."))
    return str(name)


def _layers(
    layer_type: Annotated[str, PlainValidator(_layer_type)],
    learning_rate_multiplier: NonNegativeFloat = 1.0,
    weight_decay: NonNegativeFloat | None = None,
    l2: NonNegativeFloat | None = None,
    gradient_transforms: list[_Transform] = [],  # noqa: B006 - a default that pydantic copies
    trainable: bool = True,
    name: str | None = None,
    *,
    model: keras.Model | None,
) -> list[optimizers.ParameterGroup]:
    options: dict[str, Any] = {
        "learning_rate_multiplier": learning_rate_multiplier,
        "weight_decay": weight_decay,
        "l2": l2,
        "gradient_transforms": [GRADIENT_TRANSFORMS.create(transform) for transform in gradient_transforms],
        "trainable": trainable,
        "name": name or layer_type,
    }
    if model is None:  # While a recipe is checked; which layers there are is seen later.
        return [optimizers.ParameterGroup(layer_type, **options)][:0]
    return [optimizers.ParameterGroup.of_layers(model, getattr(keras.layers, layer_type), **options)]


def _no_decay(*, model: keras.Model | None) -> list[optimizers.ParameterGroup]:
    return [optimizers.no_decay_on_bias_and_norm()]


def _layerwise_decay(rate: PositiveFloat, *, model: keras.Model | None) -> list[optimizers.ParameterGroup]:
    return [] if model is None else optimizers.layerwise_decay(model, rate)


_MODEL = ("model",)
GROUPS.add("parameter_group", _parameter_group, "The variables whose path the pattern is found in.", skip=_MODEL)
GROUPS.add("layers", _layers, "The variables of all layers of a type, such as BatchNormalization.", skip=_MODEL)
GROUPS.add("no_decay_on_bias_and_norm", _no_decay, "No weight decay on biases, scales and offsets.", skip=_MODEL)
GROUPS.add("layerwise_decay", _layerwise_decay, "A rate that falls from the last layer to the first.", skip=_MODEL)


def validated_group(value: Any) -> dict[str, Any]:
    """`value` as a full mapping of `GROUPS`; one that names no type is a `parameter_group`."""
    if isinstance(value, dict) and "type" not in value:
        value = {"type": "parameter_group", **value}
    return GROUPS.validate(value)


def _polyak(
    start_epoch: NonNegativeInt = 0, power: NonNegativeFloat = 0.0, *, steps: int, epochs: int
) -> optimizers.WeightAveraging:
    return optimizers.PolyakAveraging(start_epoch * steps, power)


def _exponential(
    decay: Fraction = 0.99,
    every_steps: PositiveInt = 1,
    bias_correction: bool = True,
    *,
    steps: int,
    epochs: int,
) -> optimizers.WeightAveraging:
    return optimizers.ExponentialAveraging(decay, every_steps, bias_correction)


def _stochastic_weight_averaging(
    start_epoch: NonNegativeInt, every_epochs: PositiveInt = 1, *, steps: int, epochs: int
) -> optimizers.WeightAveraging:
    return optimizers.StochasticWeightAveraging(start_epoch * steps, every_epochs * steps)


_Share = Annotated[float | dict[str, Any], PlainValidator(number_or_schedule(minimum=0, maximum=1))]


def _lookahead(
    every_steps: PositiveInt = 5, decay_schedule: _Share = 0.5, *, steps: int, epochs: int
) -> optimizers.WeightAveraging:
    return optimizers.Lookahead(every_steps, made(decay_schedule, steps=steps, epochs=epochs))


_RUN = ("steps", "epochs")
AVERAGING.add("polyak", _polyak, "The mean of the weights after each update from start_epoch on.", skip=_RUN)
AVERAGING.add("exponential", _exponential, "The exponential moving average of the weights.", skip=_RUN)
AVERAGING.add(
    "stochastic_weight_averaging", _stochastic_weight_averaging, "The mean of the weights of some epochs.", skip=_RUN
)
AVERAGING.add("lookahead", _lookahead, "Slow weights that the fast ones go on from every few updates.", skip=_RUN)


def build_optimizer(
    section: dict[str, Any],
    *,
    steps: int,
    epochs: int,
    accumulation: int | None = None,
    model: keras.Model | None = None,
) -> keras.optimizers.Optimizer:
    """The optimizer of a validated `optimizer` section: the rule alone, or a `ComposedOptimizer` where a slot is used.

    Args:
        section: `rule`, `learning_rate`, `gradient_transforms`, `groups`, `averaging`, as in a recipe.
        steps: updates in an epoch, for the schedules.
        epochs: epochs of the run, for the schedules that span it.
        accumulation: batches whose gradients are averaged before one update; None for one.
        model: the built model, whose variables the `groups` are searched for in; None while a recipe is only checked.

    Raises:
        InputError: parts that do not go together, or a group that matches no variable.
    """
    context = {"steps": steps, "epochs": epochs}
    entry, arguments = RULES.arguments(section["rule"])
    rate = made(section["learning_rate"], **context)
    rule = entry.target(learning_rate=rate, **{name: made(value, **context) for name, value in arguments.items()})
    transforms = [GRADIENT_TRANSFORMS.create(item) for item in section.get("gradient_transforms") or []]
    groups = [group for item in section.get("groups") or [] for group in GROUPS.create(item, model=model)]
    averaging = section.get("averaging")
    if not transforms and not groups and averaging is None and accumulation is None:
        return rule
    optimizer = optimizers.ComposedOptimizer(
        rule,
        transforms,
        groups,
        None if averaging is None else AVERAGING.create(averaging, **context),
        gradient_accumulation_steps=accumulation,
    )
    if model is not None:
        optimizer.check_groups(model)
    return optimizer
