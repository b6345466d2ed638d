"""The same recipe in seconds: synthetic data and a few steps."""

from typing import Any

from kerastrain._core import dotted_path
from kerastrain.experiments.recipe import Recipe

_SAMPLES = 256


def smoke(recipe: Recipe) -> Recipe:
    """The recipe on a few hundred synthetic images for at most two epochs.

    It shows that everything named in the recipe can be built, trained, saved and evaluated; its numbers mean nothing.
    """
    data: Any = recipe.plain()
    limit = 16 if recipe.training.strategy == "sequential" else _SAMPLES
    changes = {
        "data.name": "synthetic",
        "data.validation": 200,
        "data.train_limit": limit,
        "training.epochs": min(2, recipe.training.epochs),
        "training.batch_size": min(64, recipe.training.batch_size),
    }
    for path, value in changes.items():
        data = dotted_path.replaced(data, path, value)
    smaller: Recipe = Recipe.model_validate(data)
    return smaller
