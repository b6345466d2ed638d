"""What a `ComposedOptimizer` takes, and what it refuses: what would be lost or silently wrong."""

import weakref
from typing import Any

import keras

from kerastrain._core import keras_optimizer
from kerastrain._core.errors import InputError
from kerastrain.optimizers.averaging.weight_averaging import WeightAveraging
from kerastrain.optimizers.elementwise import is_elementwise
from kerastrain.optimizers.fusion import Fusion
from kerastrain.optimizers.lookahead_optimizer import LookaheadOptimizer
from kerastrain.optimizers.parameter_group import ParameterGroup, transform_list
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform
from kerastrain.optimizers.transforms.skip_non_finite import SkipNonFinite
from kerastrain.optimizers.tunable_optimizer import TunableOptimizer

# The public attributes of a composed optimizer that Keras, or its user, sets.
SETTABLE = frozenset({"built", "iterations", "learning_rate", "name"})

# Those that belong to a composed optimizer: it would take the rate and the slots of a second one's away.
_WRAPPED: weakref.WeakSet[keras.optimizers.Optimizer] = weakref.WeakSet()


def check_rule(optimizer: Any) -> None:
    """Raise InputError for whatever of `optimizer` would be lost or wrong inside a `ComposedOptimizer`, naming what to
    use in its place."""
    kind = type(optimizer).__name__
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise InputError(
            f"`optimizer` must be an instance of a keras.optimizers.Optimizer. Received: {optimizer!r}. Write "
            "keras.optimizers.Adam() rather than its name or its class."
        )
    if hasattr(optimizer, "inner_optimizer"):
        raise InputError(
            f"{kind} goes around a ComposedOptimizer, not into it; under mixed_float16 Keras puts it there by itself."
        )
    if hasattr(optimizer, "optimizers"):
        raise InputError(
            f"{kind} has no learning rate of its own. Wrap one rule, and use groups=[ParameterGroup(pattern, "
            "learning_rate_multiplier=...)]."
        )
    if hasattr(optimizer, "gradient_transforms"):
        raise InputError(f"{kind} cannot be wrapped again. Put everything into one ComposedOptimizer.")
    if optimizer in _WRAPPED:
        raise InputError(f"This {kind} is wrapped already. Make another one: {kind}(...).")
    if optimizer.built:
        raise InputError(
            f"This {kind} is built already, for variables of its own. Wrap a fresh one: "
            f"{kind}.from_config(optimizer.get_config())."
        )
    found = _owned_by_the_wrapper(optimizer)
    if found:
        raise InputError(f"The wrapped {kind} has " + "; ".join(found) + ".")
    _WRAPPED.add(optimizer)
    changed = keras_optimizer.overridden(optimizer, (TunableOptimizer,))
    if changed:
        raise InputError(
            f"{kind} has its own {', '.join(changed)}, which a ComposedOptimizer would go past: it calls the update "
            "rule itself. Only optimizers that define `build` and `update_step` can be wrapped."
        )


def _owned_by_the_wrapper(optimizer: keras.optimizers.Optimizer) -> list[str]:
    replacements = {
        "clipnorm": lambda value: f"gradient_transforms=[ClipByNorm({value})]",
        "clipvalue": lambda value: f"gradient_transforms=[ClipByValue(-{value}, {value})]",
        "global_clipnorm": lambda value: f"gradient_transforms=[ClipByGlobalNorm({value})]",
        "gradient_accumulation_steps": lambda value: (
            f"ComposedOptimizer(..., gradient_accumulation_steps={value}), where schedules count updates"
        ),
        "loss_scale_factor": lambda value: f"ComposedOptimizer(..., loss_scale_factor={value})",
    }
    found = [
        f"{name}={getattr(optimizer, name)}: use {replacement(getattr(optimizer, name))} instead"
        for name, replacement in replacements.items()
        if getattr(optimizer, name, None) is not None
    ]
    if optimizer.use_ema:
        found.append(
            f"use_ema=True: use averaging=ExponentialAveraging({optimizer.ema_momentum}, bias_correction=False) instead"
        )
    return [*found, *_exclusions(optimizer)]


def _exclusions(optimizer: keras.optimizers.Optimizer) -> list[str]:
    return [
        f"weight decay excluded for {exclusion}, which is lost when it is saved: use "
        "groups=[ParameterGroup(pattern, weight_decay=0.0)] or no_decay_on_bias_and_norm() instead"
        for exclusion in keras_optimizer.weight_decay_exclusions(optimizer)
    ]


def check_decays_everything(rule: keras.optimizers.Optimizer) -> None:
    """Raise InputError where variables were excluded from the rule's weight decay after it was wrapped."""
    found = _exclusions(rule)
    if found:
        raise InputError(f"The wrapped {type(rule).__name__} has " + "; ".join(found) + ".")


def check_averaged(rule: keras.optimizers.Optimizer, averaging: WeightAveraging | None) -> None:
    """Raise InputError for an average around a rule whose model holds something other than the parameters."""
    if averaging is not None and isinstance(rule, LookaheadOptimizer) and rule.looks_ahead:
        raise InputError(
            f"`averaging` takes what the model holds, which under {type(rule).__name__} is the point ahead of theta. "
            "Leave it out, and averaged_weights(model) gives theta; or average the points of "
            "keras.optimizers.SGD(nesterov=True)."
        )


def check_fused(rule: keras.optimizers.Optimizer, fused: Any) -> None:
    """Raise InputError for `fused` that is not True, False or None, and for True around a rule that looks at a variable
    as a whole."""
    if fused is not None and not isinstance(fused, bool):
        raise InputError(f"`fused` must be True, False or None. Received: fused={fused!r}.")
    if fused and not is_elementwise(rule):
        raise InputError(
            f"`fused=True` joins variables into one, and {type(rule).__name__} is not known to update each element by "
            "itself. Leave `fused` out. If a rule of your own does, say `elementwise = True` in its class."
        )


def check_all_have_gradients(rule: keras.optimizers.Optimizer, fusion: Fusion, partial: dict[int, list[bool]]) -> None:
    """Raise InputError where variables without a gradient are joined with others under a rule that looks ahead, whose
    parameters could not be told any more."""
    if isinstance(rule, LookaheadOptimizer) and rule.looks_ahead:
        number, present = next(iter(partial.items()))
        variables = fusion.stacks[number].variables
        missing = next(variable.path for variable, has in zip(variables, present, strict=True) if not has)
        raise InputError(
            f"The variable {missing!r} has no gradient, and is updated as one with others that have. Under "
            f"{type(rule).__name__} use ComposedOptimizer(..., fused=False)."
        )


def checked_transforms(transforms: Any) -> tuple[GradientTransform, ...]:
    """`gradient_transforms`, when it is a list of them with `SkipNonFinite` first, if at all. Raises InputError
    otherwise."""
    checked = transform_list("gradient_transforms", transforms)
    for index, transform in enumerate(checked):
        if isinstance(transform, SkipNonFinite) and index > 0:
            raise InputError(
                "SkipNonFinite must be the first of `gradient_transforms`, and only the first: it judges the gradients "
                f"as the loss gave them. Received: one at index {index}."
            )
    return checked


def checked_groups(groups: Any) -> tuple[ParameterGroup, ...]:
    """`groups`, when it is a list of parameter groups. Raises InputError otherwise."""
    if not isinstance(groups, list | tuple) or not all(isinstance(group, ParameterGroup) for group in groups):
        raise InputError(
            f"`groups` must be a list of ParameterGroup. Received: groups={groups!r}. Put the groups of a list, such as"
            " layerwise_decay's, into it with a star: [*layerwise_decay(model, 0.8)]."
        )
    return tuple(groups)


def checked_averaging(averaging: Any) -> WeightAveraging | None:
    """`averaging`, when it is one or None. Raises InputError otherwise."""
    if averaging is not None and not isinstance(averaging, WeightAveraging):
        raise InputError(
            f"`averaging` must be one of kerastrain.optimizers, such as PolyakAveraging(). Received: {averaging!r}."
        )
    if averaging is not None:
        averaging.check_config()
    return averaging


def checked_accumulation(steps: Any) -> int | None:
    """`gradient_accumulation_steps`, when it is None or a whole number >= 2. Raises InputError otherwise."""
    if steps is None:
        return None
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise InputError(
            "`gradient_accumulation_steps` must be a whole number >= 2. "
            f"Received: gradient_accumulation_steps={steps!r}. Use None for an update at every batch."
        )
    return steps


def refuse_change(optimizer: Any, name: str, value: Any) -> None:
    """Raise InputError for an attribute of a composed optimizer that is set once it is made, and would do nothing."""
    if name == "loss_scale_factor" and value == optimizer.loss_scale_factor:
        return  # Keras's LossScaleOptimizer sets it to None.
    known = optimizer.hyperparameters
    remedy = (
        f"Set hyperparameters[{name!r}], which takes effect at the next update."
        if name in known
        else f"Make a new one. What can move: {', '.join(sorted(known))}, in `hyperparameters`."
    )
    raise InputError(
        f"`{name}` of a ComposedOptimizer cannot be set, since nothing would come of it. Received: {name}={value!r}. "
        f"{remedy}"
    )
