"""What a compiled training is made of, apart from the numbers that live in variables: recipes that share it share it.

Everything is in the structure but what is known to be in a variable, so a key that nobody thought of can only make two
trainings look different that are not.
"""

import json
from typing import Any

import keras

from kerastrain import experiments
from kerastrain._core.keras_layers import all_layers
from kerastrain._core.training_state import optimizer_of

# Preprocessing whose layers hold nothing of the data.
_DATA_FREE = ("none", "rescale")
# Callbacks that leave the compiled step alone: what they are given is their own matter.
_OUTSIDE = ("early_stopping", "reduce_on_plateau", "resumable_checkpoint")
_IN_A_VARIABLE = "in a variable"


def structure(recipe: experiments.Recipe, model: keras.Model, movable: bool) -> str | None:
    """A text that two recipes share when one compiled model serves both.

    Args:
        recipe: what is trained.
        model: what `experiments.build` makes of it.
        movable: whether it was built in the movable form.

    Returns:
        The text; None where a model must not be used again: its parts are not all Keras's or ours, or a callback keeps
        models, which have values in their config that belong to one trial.
    """
    if not _is_known(model) or any(item["type"] in ("best_model", "snapshot_ensemble") for item in recipe.callbacks):
        return None
    plain = recipe.plain()
    plain["movable"] = movable
    plain["optimizer"] = _optimizer(plain["optimizer"], optimizer_of(model))
    plain["model"] = _without_rates(plain["model"], movable)
    plain["callbacks"] = [{"type": item["type"]} if item["type"] in _OUTSIDE else item for item in plain["callbacks"]]
    # These make the batches, on the host; what is left of `augment` says whether labels are mixed.
    sizes = bool(plain["data"]["augment"]["resolutions"])  # Whether the model takes images of any size.
    plain["data"]["augment"] |= {"crop": None, "flip": None, "resolutions": sizes}
    if plain["data"]["preprocess"]["type"] in _DATA_FREE:
        plain["training"]["seed"] = _IN_A_VARIABLE
    return json.dumps(plain, sort_keys=True)


def _is_known(model: keras.Model) -> bool:
    """Whether no part is a plugin's, which may keep what no variable holds."""
    parts: list[Any] = [model, optimizer_of(model)]
    for layer in all_layers(model):
        parts += [layer, *(getattr(layer, name, None) for name in ("activation", "kernel_regularizer"))]
    return all(
        part is None or getattr(part, "__module__", type(part).__module__).split(".")[0] in ("keras", "kerastrain")
        for part in parts
    ) and not any(isinstance(layer, keras.layers.Lambda) for layer in all_layers(model))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _optimizer(section: dict[str, Any], optimizer: Any) -> dict[str, Any]:
    moved = getattr(optimizer, "hyperparameters", {})
    if _is_number(section["learning_rate"]):  # Keras keeps it in a variable.
        section["learning_rate"] = _IN_A_VARIABLE
    rule = section["rule"]
    if rule["type"] != "muon":  # Its decay of other variables follows from this one.
        section["rule"] = _without(rule, moved)
    transforms = getattr(optimizer, "gradient_transforms", ())
    section["gradient_transforms"] = [
        _without(item, transform.hyperparameters)
        for item, transform in zip(section["gradient_transforms"], transforms, strict=True)
    ]
    return section


def _without(part: dict[str, Any], moved: Any) -> dict[str, Any]:
    return {name: _IN_A_VARIABLE if name in moved and _is_number(value) else value for name, value in part.items()}


def _without_rates(node: Any, movable: bool) -> Any:
    """A `model` section without the dropout rates that are in variables."""
    if isinstance(node, list):
        return [_without_rates(item, movable) for item in node]
    if not isinstance(node, dict):
        return node
    found = {name: _without_rates(item, movable) for name, item in node.items()}
    dropout = found.get("dropout")
    kinds = ("dropout", "variable_rate") if movable else ("variable_rate",)
    if isinstance(dropout, dict) and dropout.get("type") in kinds:
        moved = dropout["type"] == "variable_rate" or dropout["rate"] > 0
        found["dropout"] = dropout | ({"rate": _IN_A_VARIABLE} if moved else {})
    return found
