"""What keras-tuner builds and fits: the recipe that a trial's values make."""

import dataclasses
import gc
from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

from kerastrain import experiments, topologies
from kerastrain._core import random_state
from kerastrain._core.errors import WorkFailedError
from kerastrain.experiments.movable import has_movable_form
from kerastrain.tuning.compiled_models import CompiledModels, put_into
from kerastrain.tuning.space import Space
from kerastrain.tuning.structure import structure
from kerastrain.tuning.trial_recipes import TrialRecipes

# Short trials are not slowed down by saving, and of a long one no more than a minute is lost.
_CHECKPOINT = {"every_epochs": None, "every_minutes": 1.0}


@dataclasses.dataclass(frozen=True)
class _Built:
    """The model of the training under way; `fresh` is what it would be without re-use, and `structure` None where it is
    that one and is not kept."""

    model: keras.Model
    fresh: keras.Model
    structure: str | None
    movable: bool


class RecipeHyperModel(keras_tuner.HyperModel):
    """Trains the recipe of a trial just as `kerastrain train` would train it alone, from the same seed.

    The data is loaded once, and again only when a trial asks for other data. Trials that differ in nothing but numbers
    that are in variables (rates, decays, momenta, dropout rates, bounds, seeds) are trained by one compiled model, put
    into the state of a fresh one before each: the same scores, bit for bit, without tracing and compiling anew.

    Args:
        space: the parameters that are searched.
        recipes: values of a trial -> recipe.
        reuse: how many compiled models are kept for later trials; 0 for a fresh one in each trial.
    """

    def __init__(self, space: Space, recipes: TrialRecipes, reuse: int = 4) -> None:
        super().__init__()
        self.space = space
        self.recipes = recipes
        self.repeat = 1  # Which training of a trial `build` and `fit` are for.
        # Without a trace there is nothing to save.
        self._compiled = CompiledModels(reuse if keras.backend.backend() != "torch" else 0)
        self._built: _Built | None = None
        self._loaded: dict[str, Any] = {}
        self.keeps_loaded = False  # Whether other splits of the data will be asked for.
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
        """A compiled model in the state of a fresh one, in a session of its own."""
        self._built = None
        recipe = self.recipe(hp)
        data = self.data(recipe)
        # What is named and drawn does not depend on the trials before.
        keras.utils.clear_session(free_memory=False)
        movable = self._compiled.limit > 0 and has_movable_form(recipe)
        fresh = experiments.build(recipe, data, movable=movable)
        found = structure(recipe, fresh, movable) if self._compiled.limit > 0 else None
        kept = None if found is None else self._compiled.take(found, fresh)
        if kept is None:
            gc.collect()  # What was let go, before the next is compiled; it takes a good part of a second.
        self._built = _Built(fresh if kept is None else kept, fresh, found, movable)
        return self._built.model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        **kwargs: Any,
    ) -> experiments.Training:
        """The whole training of the trial; `folder` and `announce` are as `experiments.fit` takes them."""
        recipe, built = self.recipe(hp), self._built
        if built is None or built.model is not model:  # Another's model.
            built = _Built(model, model, None, False)
        try:
            training = experiments.fit(
                recipe,
                model,
                self.data(recipe),
                callbacks=callbacks,
                checkpoint=_CHECKPOINT,
                described=built.fresh,
                **kwargs,
            )
        except WorkFailedError:
            # Diverged. Where the state of a step is in the model's variables, nothing else is left of it.
            if keras.backend.backend() == "tensorflow":
                self._keep(built)
            raise
        self._keep(built)
        return training

    def to_save(self, hp: keras_tuner.HyperParameters, model: keras.Model) -> keras.Model:
        """The trained `model` with nothing in it of the trials that it served before, nor of the movable form but the
        optimizer: the layers are those of the recipe."""
        built = self._built
        if built is None or built.model is not model or (built.fresh is model and not built.movable):
            return model
        recipe = self.recipe(hp)
        keras.utils.clear_session(free_memory=False)
        saved = experiments.build(recipe, self.data(recipe), movable=built.movable, rates_in_variables=False)
        put_into(model, saved)
        return saved

    def _keep(self, built: _Built) -> None:
        # What draws from the generator of the session would in the next trial go on drawing from this one's.
        if built.structure is not None and not random_state.has_own_of_keras():
            self._compiled.keep(built.structure, built.model)

    def data(self, recipe: experiments.Recipe) -> experiments.PreparedData:
        """The data of a recipe."""
        key = self.data_key(recipe)
        if self._prepared is None or self._prepared[0] != key:
            self._prepared = None  # Lets the old data go before the new is loaded.
            # Repeats have seeds of their own, and so splits of their own; their data is read from the disk once.
            kept = (self._loaded,) if self.keeps_loaded or self.repeat > 1 or self._loaded else ()
            self._prepared = (key, experiments.prepare(recipe, *kept))
        return self._prepared[1]

    def data_key(self, recipe: experiments.Recipe) -> tuple[Any, ...]:
        """What two recipes of the same data share."""
        source, form = recipe.data, topologies.DATA_FORMS[recipe.model["topology"]]
        mixing = experiments.mixes_labels(source.augment.layers)
        return (source.name, source.validation, source.train_limit, form, mixing, recipe.training.seed)

    def shared(self) -> Any:
        """The data there are, for `use` in another process."""
        key, prepared = self._prepared or (None, None)
        # A copy, without what was computed from it here.
        return key, None if prepared is None else dataclasses.replace(prepared), self._loaded

    def use(self, shared: Any) -> None:
        """Take data that another process has loaded."""
        key, prepared, self._loaded = shared
        self._prepared = None if prepared is None else (key, prepared)
