"""The test set is used once, by the winner, when the search is over."""

import pathlib

import keras

from kerastrain import experiments
from kerastrain.tuning.hypermodel import RecipeHyperModel


def test_scores(
    hypermodel: RecipeHyperModel, recipe: experiments.Recipe, path: pathlib.Path
) -> dict[str, float | None]:
    """Loss and metrics on the test set of the recipe's data, of the model in `path`."""
    keras.utils.clear_session()
    model = keras.saving.load_model(path)
    scores: dict[str, float | None] = experiments.evaluate(model, hypermodel.data(recipe), ("test",))["test"]
    return scores
