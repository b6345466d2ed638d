"""What keras-tuner builds and fits: the recipe that a trial's values make."""

from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

from kerastrain import experiments, topologies
from kerastrain.tuning.space import Space
from kerastrain.tuning.trial_recipes import TrialRecipes

# Short trials are not slowed down by saving, and of a long one no more than a minute is lost.
_CHECKPOINT = {"every_epochs": None, "every_minutes": 1.0}


class RecipeHyperModel(keras_tuner.HyperModel):
    """Trains the recipe of a trial just as `kerastrain train` would train it alone, from the same seed.

    The data is loaded once, and again only when a trial asks for other data.

    Args:
        space: the parameters that are searched.
        recipes: values of a trial -> recipe.
    """

    def __init__(self, space: Space, recipes: TrialRecipes) -> None:
        super().__init__()
        self.space = space
        self.recipes = recipes
        self.repeat = 1  # Which training of a trial `build` and `fit` are for.
        self._loaded: dict[str, Any] = {}
        self._prepared: tuple[tuple[Any, ...], experiments.PreparedData] | None = None

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Add the space to `hp`."""
        self.space.declare(hp)

    def recipe(self, hp: keras_tuner.HyperParameters) -> experiments.Recipe:
        """The recipe of the values in `hp`."""
        return self.recipes.fill(self.space.decode(hp.values), self.repeat)

    def seed(self, hp: keras_tuner.HyperParameters) -> int:
        """What the training of the values in `hp` starts from."""
        return self.recipe(hp).training.seed

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """A fresh compiled model."""
        recipe = self.recipe(hp)
        return experiments.build(recipe, self.data(recipe))

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        **kwargs: Any,
    ) -> experiments.Training:
        """The whole training of the trial; `folder` and `announce` are as `experiments.fit` takes them."""
        recipe = self.recipe(hp)
        return experiments.fit(recipe, model, self.data(recipe), callbacks=callbacks, checkpoint=_CHECKPOINT, **kwargs)

    def data(self, recipe: experiments.Recipe) -> experiments.PreparedData:
        """The data of a recipe."""
        source, form = recipe.data, topologies.DATA_FORMS[recipe.model["topology"]]
        mixing = experiments.mixes_labels(source.augment.layers)
        key = (source.name, source.validation, source.train_limit, form, mixing, recipe.training.seed)
        if self._prepared is None or self._prepared[0] != key:
            self._prepared = None  # Lets the old data go before the new is loaded.
            # Repeats have seeds of their own, and so splits of their own; their data is read from the disk once.
            kept = (self._loaded,) if self.repeat > 1 or self._loaded else ()
            self._prepared = (key, experiments.prepare(recipe, *kept))
        return self._prepared[1]
