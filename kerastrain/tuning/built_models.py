"""Trials of the user's own models: a build function as keras-tuner has it, in place of a recipe."""

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import keras_tuner

from kerastrain import experiments
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError, closest
from kerastrain._core.interruption import Interruption
from kerastrain.callbacks.training_identity import training_identity
from kerastrain.experiments.fit import EpochRecorder
from kerastrain.experiments.interruption import StopWhenInterrupted
from kerastrain.tuning.batch_check import check_batches
from kerastrain.tuning.fit_data import FitData
from kerastrain.tuning.space import Space

Build: TypeAlias = Callable[[keras_tuner.HyperParameters], keras.Model] | keras_tuner.HyperModel

# Names that `fit` takes, when the space has them.
EPOCHS, BATCH_SIZE = "epochs", "batch_size"


class DeclaredSpace:
    """A space as a build function declares it, with the members of `Space` that a search uses.

    Args:
        hyperparameters: keras-tuner's.
    """

    def __init__(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        self._hyperparameters = hyperparameters
        self.parameters = {one.name: one for one in hyperparameters.space}

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """A copy of them."""
        return self._hyperparameters.copy()

    def decode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The active values, in the order of the space."""
        return {name: values[name] for name in self.parameters if name in values}


class _Asked(keras_tuner.HyperParameters):
    """Hyperparameters with values from the beginning, which note the names that a build function asks for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.values = dict(values)
        self.asked: set[str] = set()

    def get(self, name: str) -> Any:
        self.asked.add(name)
        return super().get(name)


@dataclasses.dataclass(frozen=True)
class BuiltTrial:
    """What one training of a built model is made of; in the place of a recipe."""

    build: str
    parameters: dict[str, Any]
    training: types.SimpleNamespace

    def plain(self) -> dict[str, Any]:
        """Plain data."""
        return {"build": self.build, "parameters": self.parameters, "training": vars(self.training)}

    def to_yaml(self) -> str:
        """The same as YAML."""
        return yaml_document.dump(self.plain())


class BuiltModels(keras_tuner.HyperModel):
    """Builds models by a function of hyperparameters, and fits them on data of the user's own.

    Every training starts from `keras.utils.set_random_seed(seed)`, plus one for each repeat before, once before the
    model is built and once before `fit`. What the space calls `epochs` and `batch_size` goes to `fit`.

    Args:
        build: `build(hp)` that returns a compiled model, or a `keras_tuner.HyperModel`.
        space: what `hp` has values of.
        data: to fit on; None where `fit` is given its own arguments.
        epochs: of a training.
        batch_size: of arrays.
        seed: of the first training.
    """

    best_file = "best_parameters.yaml"

    def __init__(
        self,
        build: Build,
        space: Space | DeclaredSpace,
        data: FitData | None = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.function = build.build if isinstance(build, keras_tuner.HyperModel) else build
        self.space = space
        self.repeat = 1
        self.described: dict[str, Any] | None = None  # The model of the first trial, when it has been built.
        self._data, self._epochs, self._batch_size, self._seed = data, epochs, batch_size, seed

    # In the place of `TrialRecipes`.

    def fill(self, chosen: Mapping[str, Any], repeat: int = 1) -> BuiltTrial:
        """The training of `chosen` values."""
        name = ".".join(getattr(self.function, part, "unknown") for part in ("__module__", "__qualname__"))
        training = types.SimpleNamespace(
            epochs=chosen.get(EPOCHS, self._epochs),
            batch_size=chosen.get(BATCH_SIZE, self._batch_size),
            seed=(self._seed + repeat - 1) % 2**32,
        )
        return BuiltTrial(name, dict(chosen), training)

    def base(self) -> BuiltTrial:
        """What is the same in all trainings, a declared space included."""
        declared = self.space if isinstance(self.space, DeclaredSpace) else None
        parameters = {} if declared is None else {one.name: one.get_config() for one in declared.parameters.values()}
        return dataclasses.replace(self.fill({}), parameters=parameters)

    def replaced(self, chosen: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Nothing is made smaller for a quick look."""
        return {}

    # In the place of `RecipeHyperModel`.

    def data(self, trial: Any = None) -> FitData | None:
        """What is trained on."""
        return self._data

    def seed(self, hp: keras_tuner.HyperParameters) -> int:
        """What a training starts from."""
        return int(self._trial(hp).training.seed)

    def _trial(self, hp: keras_tuner.HyperParameters) -> BuiltTrial:
        return self.fill(self.space.decode(hp.values), self.repeat)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """A fresh compiled model of the values in `hp`. Raises InputError when the function returns something else."""
        keras.utils.clear_session()
        return self._built(self._trial(hp))[0]

    def _built(self, trial: BuiltTrial) -> tuple[keras.Model, _Asked]:
        hyperparameters = _Asked(trial.parameters)
        keras.utils.set_random_seed(trial.training.seed)
        model = self.function(hyperparameters)
        if not isinstance(model, keras.Model) or not model.compiled:
            given = "a model that is not compiled" if isinstance(model, keras.Model) else type(model).__name__
            raise InputError(f"`build`: expected a function that returns a compiled keras.Model. Received: {given}.")
        return model, hyperparameters

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        folder: Any = None,
        announce: Any = None,
        **kwargs: Any,
    ) -> experiments.Training:
        """One whole training, by the arguments of Keras's `fit` that are given; cut off, it begins anew."""
        training = self._trial(hp).training
        keras.utils.set_random_seed(training.seed)
        interruption = Interruption()
        if self._data is not None and not args:
            args = self._data.train if isinstance(self._data.train, tuple) else (self._data.train,)
            kwargs = {"validation_data": self._data.validation, "epochs": training.epochs, **kwargs}
            if len(args) == 2:
                kwargs.setdefault("batch_size", training.batch_size)
        kwargs.setdefault("verbose", 0)
        with interruption.listening():
            model.fit(*args, callbacks=[*callbacks, StopWhenInterrupted(interruption)], **kwargs)
        rows = next(one.rows for one in callbacks if isinstance(one, EpochRecorder))
        return experiments.Training(rows, 0.0, 0.0, interruption.name)

    def to_save(self, hp: keras_tuner.HyperParameters, model: keras.Model) -> keras.Model:
        """The trained model, which is its trial's own."""
        return model

    # Before and after the trials.

    def check(self, chosen: Mapping[str, Any]) -> None:
        """Build the model of `chosen` once, see that it asks for each of them, and evaluate it on a batch of all data.

        Raises:
            InputError: the function returns no compiled model, or never asks for one of the values; or the model takes
                no such inputs, or its loss and metrics no such targets.
        """
        trial = self.fill(chosen)
        model, hyperparameters = self._built(trial)
        asked = hyperparameters.asked | {one.name for one in hyperparameters.space}
        for name in chosen:
            if name not in asked | {EPOCHS, BATCH_SIZE}:
                raise InputError(
                    f"`space.{name}`: `build` does not ask for it with the values of the first trial."
                    f"{closest(name, asked)} It asks for: {', '.join(sorted(asked)) or 'nothing'}. Give it `when`, "
                    "if it is asked for sometimes."
                )
        described = training_identity(model, None, None)
        if self._data is not None:
            check_batches(model, self._data, trial.training.batch_size)
        # Of a function nothing can be compared but what it makes.
        self.described = {key: described[key] for key in ("model", "optimizer", "loss", "metrics")}

    def loaded(self, chosen: Mapping[str, Any], repeat: int, path: Any) -> keras.Model:
        """The model of `chosen`, with the weights in `path`; its classes need not be registered."""
        keras.utils.clear_session()
        model, _ = self._built(self.fill(chosen, repeat))
        if not model.built and self._data is not None and isinstance(self._data.train, tuple):
            model.build(keras.tree.map_structure(lambda array: (None, *array.shape[1:]), self._data.train[0]))
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        model.load_weights(path)
        return model

    def test_scores(self, chosen: Mapping[str, Any], repeat: int, path: Any) -> dict[str, float | None] | None:
        """Loss and metrics on the test data, where there is any."""
        if self._data is None or self._data.test is None:
            return None
        model, test = self.loaded(chosen, repeat, path), self._data.test
        values = model.evaluate(*(test if isinstance(test, tuple) else (test,)), verbose=0, return_dict=True)
        return {name: float(value) for name, value in values.items()}


def declared_space(build: Build, folder: str) -> DeclaredSpace:
    """What a build function declares, every conditional scope entered: keras-tuner builds models to find it.

    Args:
        build: the function.
        folder: an empty one, for what keras-tuner writes.
    """
    oracle = keras_tuner.oracles.RandomSearchOracle(objective=keras_tuner.Objective("val_loss", "min"), max_trials=1)
    try:
        keras_tuner.Tuner(oracle, hypermodel=build, directory=folder, project_name="declared", overwrite=True)
    except KeyError as error:  # Of `hp.get`, which declares nothing.
        raise InputError(
            f"`build`: {error.args[0]} What it reads by `hp.get` must be in the configuration's `space`, or be "
            "declared by `hp.Int`, `hp.Float`, `hp.Choice` or `hp.Boolean`."
        ) from None
    found = oracle.get_space()
    if not found.space:
        raise InputError("`build`: declares no hyperparameters, and the configuration has no `space`.")
    return DeclaredSpace(found)
