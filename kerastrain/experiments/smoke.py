"""The same recipe in seconds: synthetic data and a few steps."""

from typing import Any

from kerastrain._core import dotted_path, yaml_document
from kerastrain.experiments.recipe import Recipe, from_document

_SAMPLES = 256
_WIDTH = 32


def smoke(recipe: Recipe) -> Recipe:
    """The recipe on a few hundred synthetic images for at most two epochs, or one for each stage of its learning rate.

    It shows that everything named in the recipe can be built, trained, saved and evaluated; its numbers mean nothing.
    What the optimizer and the callbacks count in epochs (warmups, the start of an average, cycles) shrinks with the
    run; accumulation and every so many steps are at most 2.

    Raises:
        InputError: the smaller recipe does not hold together, one line a problem.
    """
    data: Any = recipe.plain()
    limit = 16 if recipe.training.strategy == "sequential" else _SAMPLES
    rate = recipe.optimizer.learning_rate
    stages = len(rate.get("stages", ())) if isinstance(rate, dict) else 0
    epochs = min(max(2, stages), recipe.training.epochs)
    changes: dict[str, Any] = {
        "data.name": "synthetic",
        "data.validation": 200 if recipe.data.validation else 0,
        "data.train_limit": limit,
        "training.epochs": epochs,
        "training.batch_size": min(64, recipe.training.batch_size),
    }
    if isinstance(recipe.model.get("widths"), list):
        changes["model.widths"] = [min(_WIDTH, width) for width in recipe.model["widths"]]
    for path, value in changes.items():
        data = dotted_path.replaced(data, path, value)
    for section in ("optimizer", "callbacks"):
        data[section] = _sooner(data[section], epochs / recipe.training.epochs)
    for callback in data["callbacks"]:
        if callback.get("after_epochs"):  # Within the run.
            callback["after_epochs"] = sorted({min(epochs, epoch) for epoch in callback["after_epochs"]})
    for key, part in (
        ("gradient_accumulation_steps", data["optimizer"]),
        ("every_steps", data["optimizer"]["averaging"]),
        *(("every_steps", callback) for callback in data["callbacks"]),
    ):
        if part and part.get(key):
            part[key] = min(2, part[key])
    return from_document(yaml_document.Document("--smoke", data, {}))


def _sooner(node: Any, factor: float) -> Any:
    """`node` with every count of epochs in it times `factor`."""
    if isinstance(node, list):
        return [_sooner(item, factor) for item in node]
    if not isinstance(node, dict):
        return node
    if "schedule" in node and "epochs" in node:  # A stage of a sequence.
        return {"schedule": _sooner(node["schedule"], factor), "epochs": node["epochs"] and 1}
    return {
        key: _scaled(key, value, factor)
        if key.endswith(("epoch", "epochs")) and value is not None
        else _sooner(value, factor)
        for key, value in node.items()
    }


def _scaled(key: str, value: Any, factor: float) -> Any:
    if isinstance(value, list):  # Boundaries, which must rise.
        return [max(place, round(factor * item)) for place, item in enumerate(value, start=1)]
    if isinstance(value, float):
        return factor * value
    return int(factor * value) if key.startswith("start_") else max(1, int(factor * value))
