"""The names that a recipe's `optimizer` section knows around the rule, and the optimizer that the section makes."""

import contextlib
import re
from collections.abc import Iterator
from typing import Annotated, Any

import keras
from pydantic import AfterValidator, Field, PlainValidator

from kerastrain import optimizers
from kerastrain._core import dotted_path
from kerastrain._core.errors import InputError, closest
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
from kerastrain.optimizers import composed_arguments
from kerastrain.optimizers.group_assignment import assign_groups

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


# By option of a group: its type and its default.
_OPTIONS: dict[str, Any] = {
    "learning_rate_multiplier": (NonNegativeFloat, 1.0),
    "weight_decay": (NonNegativeFloat | None, None),
    "l2": (NonNegativeFloat | None, None),
    "gradient_transforms": (list[_Transform], []),
    "trainable": (bool, True),
    "name": (str | None, None),
}


def _with_transforms(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "gradient_transforms": [GRADIENT_TRANSFORMS.create(t) for t in options["gradient_transforms"]]}


def _parameter_group(pattern: str, *, model: keras.Model | None, **options: Any) -> list[optimizers.ParameterGroup]:
    return [optimizers.ParameterGroup(pattern, **_with_transforms(options))]


def _layer_types(given: Any) -> list[str]:
    known = [kind for kind in dir(keras.layers) if kind[0].isupper()]
    names = given if isinstance(given, list) and given else [given]
    for name in names:
        if name not in known:
            message = "expected the name of a class in keras.layers, such as BatchNormalization, or a list of such"
            near = closest(name, known) if isinstance(name, str) else ""
            raise problem((), f"{message}. Received: {name!r}.{near}".rstrip("."))
    return list(names)


def _layers(layer_type: list[str], *, model: keras.Model | None, **options: Any) -> list[optimizers.ParameterGroup]:
    options = {**_with_transforms(options), "name": options["name"] or ", ".join(layer_type)}
    if model is None:  # While a recipe is checked; which layers there are is seen later.
        return [optimizers.ParameterGroup(", ".join(layer_type), **options)][:0]
    return [optimizers.ParameterGroup.of_layers(model, [getattr(keras.layers, name) for name in layer_type], **options)]


def _no_decay(*, model: keras.Model | None) -> list[optimizers.ParameterGroup]:
    return [optimizers.no_decay_on_bias_and_norm()]


def _layerwise_decay(rate: PositiveFloat, *, model: keras.Model | None) -> list[optimizers.ParameterGroup]:
    return [] if model is None else optimizers.layerwise_decay(model, rate)


_MODEL = ("model",)
GROUPS.add(
    "parameter_group",
    _parameter_group,
    "The variables whose path the pattern is found in.",
    only={"pattern": (_Pattern, ...), **_OPTIONS},
)
GROUPS.add(
    "layers",
    _layers,
    "The variables of all layers of a type, such as BatchNormalization, or of several types.",
    only={"layer_type": (Annotated[list[str], PlainValidator(_layer_types)], ...), **_OPTIONS},
)
GROUPS.add("no_decay_on_bias_and_norm", _no_decay, "No weight decay on biases, scales and offsets.", skip=_MODEL)
GROUPS.add("layerwise_decay", _layerwise_decay, "A rate that falls from the last layer to the first.", skip=_MODEL)


def validated_group(value: Any) -> dict[str, Any]:
    """`value` as a full mapping of `GROUPS`; one that names no type is a `parameter_group`."""
    if isinstance(value, dict) and "type" not in value:
        value = {"type": "parameter_group", **value}
    return GROUPS.validate(value)


def _check_begins(start_epoch: int, epochs: int) -> None:
    if start_epoch >= epochs:
        raise InputError(
            f"`start_epoch` must be below {epochs}, the epochs of the run, or nothing would be averaged. "
            f"Received: start_epoch={start_epoch}."
        )


def _polyak(
    start_epoch: NonNegativeInt = 0, power: NonNegativeFloat = 0.0, *, steps: int, epochs: int
) -> optimizers.WeightAveraging:
    _check_begins(start_epoch, epochs)
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
    _check_begins(start_epoch, epochs)
    if start_epoch + every_epochs > epochs:
        raise InputError(
            f"`every_epochs` must leave time for one snapshot: start_epoch + every_epochs <= {epochs}, the epochs of "
            f"the run. Received: start_epoch={start_epoch}, every_epochs={every_epochs}."
        )
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


class PartError(InputError):
    """What is wrong with one part of a recipe's `optimizer` section.

    Args:
        place: where in the section the part is.
        explanation: expected and received.
    """

    def __init__(self, place: dotted_path.Location, explanation: str) -> None:
        super().__init__(f"`{dotted_path.render(('optimizer', *place))}`: {explanation}")
        self.place = place
        self.explanation = explanation


@contextlib.contextmanager
def _at(*place: str | int) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as error:
        raise PartError(place, " ".join(str(error).split())) from None


def build_optimizer(
    section: dict[str, Any],
    *,
    steps: int,
    epochs: int,
    accumulation: int | None = None,
    batches: int = 0,
    model: keras.Model | None = None,
    composed: bool = False,
) -> keras.optimizers.Optimizer:
    """The optimizer of a validated `optimizer` section: the rule alone, or a `ComposedOptimizer` where a slot is used.

    Args:
        section: `rule`, `learning_rate`, `gradient_transforms`, `groups`, `averaging`, `fused`, as in a recipe.
        steps: updates in an epoch, for the schedules.
        epochs: epochs of the run, for the schedules that span it.
        batches: batches in an epoch, where there is a model.
        accumulation: batches whose gradients are averaged before one update; None for one.
        model: the built model, whose variables the `groups` are searched for in; None while a recipe is only checked.
        composed: whether it is a `ComposedOptimizer` in any case, since a callback moves variables of it.

    Raises:
        PartError: a part that cannot be made, parts that do not go together, or a pattern that matches no variable.
    """
    context = {"steps": steps, "epochs": epochs}
    with _at("learning_rate"):
        rate = made(section["learning_rate"], **context)
    with _at("rule"):
        entry, arguments = RULES.arguments(section["rule"])
        rule = entry.target(learning_rate=rate, **{name: made(value, **context) for name, value in arguments.items()})
        if model is not None and isinstance(rule, optimizers.TunableOptimizer):
            rule.check_paths([variable.path for variable in model.trainable_variables])
    transforms: list[optimizers.GradientTransform] = []
    for index, item in enumerate(section.get("gradient_transforms") or []):
        with _at("gradient_transforms", index):
            transforms.append(GRADIENT_TRANSFORMS.create(item))
            composed_arguments.checked_transforms(transforms)
    groups: list[optimizers.ParameterGroup] = []
    for index, item in enumerate(section.get("groups") or []):
        with _at("groups", index):
            made_groups = GROUPS.create(item, model=model)
            if model is not None:
                assign_groups(made_groups, [variable.path for variable in model.trainable_variables])
            groups += made_groups
    with _at("averaging"):
        averaging = None if section.get("averaging") is None else AVERAGING.create(section["averaging"], **context)
        composed_arguments.check_averaged(rule, averaging)
        every = getattr(averaging, "every_steps", 1)
        if model is not None and every > steps * epochs:  # Before that the steps are not known.
            raise InputError(
                f"`every_steps` must be at most {steps * epochs}, the updates of the run, or nothing would be averaged."
                f" Received: every_steps={every}."
            )
    if model is not None and accumulation is not None and accumulation > batches * epochs:
        raise PartError(
            ("gradient_accumulation_steps",),
            f"must be at most {batches * epochs}, the batches of the run, or there would be no update. "
            f"Received: {accumulation}.",
        )
    with _at("fused"):
        composed_arguments.check_fused(rule, section.get("fused"))
    used = any(section.get(slot) for slot in ("gradient_transforms", "groups", "averaging", "fused"))
    if not used and accumulation is None and not composed:
        return rule
    with _at():
        optimizer = optimizers.ComposedOptimizer(
            rule,
            transforms,
            groups,
            averaging,
            gradient_accumulation_steps=accumulation,
            fused=section.get("fused"),
        )
    if model is not None:
        with _at("groups"):
            optimizer.check_groups(model)
    return optimizer
