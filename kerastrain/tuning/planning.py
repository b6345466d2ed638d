"""What a search is going to do, known and checked before its first trial."""

import dataclasses
import itertools
import json
from typing import Any

import keras_tuner

from kerastrain import experiments
from kerastrain._core.errors import InputError
from kerastrain.tuning.built_models import BuiltModels, BuiltTrial, DeclaredSpace
from kerastrain.tuning.config import SearchConfig
from kerastrain.tuning.draws import Values, combinations, drawn_untried, identity, size
from kerastrain.tuning.oracles import GridOracle, RandomOracle, grid_points
from kerastrain.tuning.pruner_parts import PRUNERS
from kerastrain.tuning.pruners import Pruner
from kerastrain.tuning.space import Space
from kerastrain.tuning.trial_recipes import TrialRecipes, check_space, prefixed, trial_recipes

_SMOKE_TRIALS = 2


@dataclasses.dataclass(frozen=True)
class Plan:
    """A valid search.

    config: the search file, with what the command line changed.
    space: its parameters.
    recipes: values of a trial -> recipe; or the user's own models.
    base: the recipe before any value of the space is set.
    trials: recipe values of every trial, in order.
    epochs: of each trial's training, at most.
    exhausted: whether they are every point of the space, and fewer than were asked for.
    combinations: how many a grid has, of which `trials` are the first; None for a random search.
    """

    config: SearchConfig
    space: Space | DeclaredSpace
    recipes: TrialRecipes | BuiltModels
    base: experiments.Recipe | BuiltTrial
    trials: tuple[dict[str, Any], ...]
    epochs: tuple[int, ...]
    exhausted: bool
    combinations: int | None

    def oracle(self) -> RandomOracle | GridOracle:
        """The keras-tuner oracle that hands out `trials`."""
        kind = GridOracle if self.config.search.strategy == "grid" else RandomOracle
        objective = self.config.objective
        return kind(
            objective=keras_tuner.Objective(objective.metric, objective.mode),
            max_trials=len(self.trials),
            hyperparameters=self.space.hyperparameters(),
            seed=self.config.search.seed,
            allow_new_entries=False,
            tune_new_entries=False,
        )

    def pruner(self) -> Pruner | None:
        """What ends trials early."""
        found: Pruner | None = None if self.config.pruner is None else PRUNERS.create(self.config.pruner)
        return found


def plan(config: SearchConfig, *, data: str | None = None, max_trials: int | None = None, smoke: bool = False) -> Plan:
    """Check a search whole: every parameter against the recipe, and the recipe of every trial.

    A grid that is larger than its file's `search.max_trials` is a slip, and refused; `max_trials` given here asks for
    its first combinations.

    Raises:
        InputError: one line with file:line, key, what was expected and what was received.
    """
    if max_trials is not None:
        config = config.with_max_trials(max_trials)
    _check_whole(config)
    recipes = trial_recipes(config, data=data, smoke=smoke)
    base = recipes.fill({})
    _check_metric(config, base)
    check_space(config, recipes)
    space = Space(config.written().parameters)
    limit = min(config.search.max_trials, _SMOKE_TRIALS) if smoke else config.search.max_trials
    trials, count = _trials(config, space, limit, whole=max_trials is None)
    epochs = []
    for number, chosen in enumerate(trials, start=1):
        try:
            epochs.append(recipes.fill(chosen).training.epochs)
        except InputError as error:
            values = ", ".join(f"{path} = {json.dumps(value)}" for path, value in chosen.items())
            place = f"{config.source.where(('space',))}: `space`: the values of trial {number} do not go together"
            raise InputError(prefixed(f"{place} ({values}); keep them apart with `when`: ", error)) from None
    made = Plan(config, space, recipes, base, trials, tuple(epochs), exhausted=len(trials) < limit, combinations=count)
    if max_trials is None and not smoke:
        _check_pruner(made)
    return made


def plan_of_models(config: SearchConfig, models: BuiltModels, *, max_trials: int | None = None) -> Plan:
    """Check a search over models of the user's own; the model of its first trial is built.

    Raises:
        InputError: as `plan`.
    """
    if max_trials is not None:
        config = config.with_max_trials(max_trials)
    limit = config.search.max_trials
    trials, count = _trials(config, models.space, limit, whole=max_trials is None)
    base = models.base()
    epochs = tuple(models.fill(chosen).training.epochs for chosen in trials)
    made = Plan(config, models.space, models, base, trials, epochs, exhausted=len(trials) < limit, combinations=count)
    if max_trials is None:
        _check_pruner(made)
    models.check(trials[0])
    return made


def _check_whole(config: SearchConfig) -> None:
    """What only a search of a `build` function may leave out."""
    source, written = config.source, config.source.data if isinstance(config.source.data, dict) else {}
    problems = []
    if not config.recipe:
        problems.append(f"{source.where(('recipe',))}: `recipe`: is missing.")
    if not config.space:
        given = "is missing" if "space" not in written else "expected one parameter at least. Received: {}"
        example = "`optimizer.learning_rate: {type: float, min: 1.0e-4, max: 1.0, scale: log}`"
        problems.append(f"{source.where(('space',))}: `space`: {given}. A parameter is a line such as {example}.")
    if problems:
        raise InputError("\n".join(problems))


def _trials(
    config: SearchConfig, space: Space | DeclaredSpace, limit: int, *, whole: bool
) -> tuple[tuple[dict[str, Any], ...], int | None]:
    """The values of at most `limit` trials, and how many combinations a grid has."""
    count = size(space.hyperparameters().space, grid_points) if config.search.strategy == "grid" else None
    if count is not None and whole and count > config.search.max_trials:
        raise InputError(_too_large(config, count))
    return tuple(space.decode(values) for values in _points(config, space, limit)), count


def _points(config: SearchConfig, space: Space | DeclaredSpace, limit: int) -> list[Values]:
    """keras-tuner's values of at most `limit` trials."""
    declared, search = space.hyperparameters().space, config.search
    if search.strategy == "grid":
        return list(itertools.islice(combinations(declared, grid_points), limit))
    found: list[Values] = []
    tried: set[str] = set()
    for number in range(1, limit + 1):
        values = drawn_untried(declared, search.seed, number, tried)
        if values is None:
            break
        found.append(values)
        tried.add(identity(values))
    return found


def _too_large(config: SearchConfig, count: int) -> str:
    place, asked = config.source.where(("search", "max_trials")), config.search.max_trials
    return (
        f"{place}: `search.max_trials`: the grid has {count} combinations. Received: {asked}. Raise it, give fewer "
        f"points, or run the first {asked} with `--max-trials {asked}`."
    )


def _check_pruner(made: Plan) -> None:
    """Refuse a pruner that would never end a trial."""
    pruner, trials = made.pruner(), len(made.trials)
    if pruner is None:
        return
    where = made.config.source.where(("pruner",))
    if pruner.needs_trials >= trials:
        raise InputError(
            f"{where}: `pruner`: it would never end a trial: it waits for {pruner.needs_trials} completed trials. "
            f"Received: {trials} trials in all."
        )
    epochs = max(made.epochs)
    if pruner.needs_epochs >= epochs:
        raise InputError(
            f"{where}: `pruner`: it would never end a trial: it first looks after {pruner.needs_epochs} epochs, and "
            f"the last epoch is not judged. Received: at most {epochs} epochs a trial."
        )


def _check_metric(config: SearchConfig, base: experiments.Recipe) -> None:
    if base.data.validation == 0:
        raise InputError(
            f"{config.source.where(('recipe',))}: `recipe`: a search compares its trials on validation data, and this "
            "recipe holds none out. Received: data.validation = 0. Use another recipe, or a copy of it with a number "
            "of images there."
        )
    known = [f"val_{name}" for name in experiments.METRICS[base.task]]
    if config.objective.metric not in known:
        raise InputError(
            f"{config.source.where(('objective', 'metric'))}: `objective.metric`: a {base.task} recipe yields "
            f'{", ".join(known)}. Received: "{config.objective.metric}".'
        )
