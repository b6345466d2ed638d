"""The test set is used once, by the winner, when the search is over."""

import pathlib

import keras

from kerastrain import experiments
from kerastrain.tuning.built_models import BuiltModels
from kerastrain.tuning.hypermodel import RecipeHyperModel
from kerastrain.tuning.records import TrialRecord


def test_scores(
    hypermodel: RecipeHyperModel | BuiltModels, found: TrialRecord, path: pathlib.Path
) -> dict[str, float | None] | None:
    """Loss and metrics on the test set, of the model in `path`, that of the trial `found`; None without a test set."""
    if isinstance(hypermodel, BuiltModels):
        return hypermodel.test_scores(found.parameters, found.best_repeat, path)
    recipe = hypermodel.recipes.fill(found.parameters, found.best_repeat)
    keras.utils.clear_session()
    model = keras.saving.load_model(path)
    scores: dict[str, float | None] = experiments.evaluate(model, hypermodel.data(recipe), ("test",))["test"]
    return scores
