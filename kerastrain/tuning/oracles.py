"""Who decides the next trial: keras-tuner oracles whose trials follow from (seed, trial number, parameter name)."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import TrialStatus

from kerastrain._core.errors import InputError
from kerastrain.tuning.draws import Values, combinations, drawn_untried, identity, points


class _NumberedOracle(keras_tuner.Oracle):
    """An oracle whose next trial follows from the trials there are, never from how often it was called."""

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(
            objective=objective, max_trials=max_trials, hyperparameters=hyperparameters, seed=seed, **options
        )
        # keras-tuner takes `seed=0` for no seed at all.
        self.seed = seed
        self._stopping = False

    def stop(self) -> None:
        """Start no further trial."""
        self._stopping = True

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the trial that comes next, as keras-tuner asks for them."""
        values = None if self._stopping else self.values_of(len(self.trials) + 1)
        if values is None:
            return {"status": TrialStatus.STOPPED}
        return {"status": TrialStatus.RUNNING, "values": values}

    def values_of(self, number: int) -> Values | None:
        """The values of trial `number`, counted from 1; None when there is no such trial."""
        raise NotImplementedError


class RandomOracle(_NumberedOracle):
    """Random search that is the same on every machine and after every resume.

    Each value is drawn from (seed, trial number, parameter name) alone, so that `seed=0` is a seed like any other, two
    seeds share no trials, and adding a parameter leaves the draws of the others. A point is tried once; when every
    point of a finite space is tried, the search ends. `keras_tuner.RandomSearch`'s oracle draws from a running seed,
    and gives up after 20 duplicates in a row.

    Args:
        objective: name of a metric, or `keras_tuner.Objective`.
        max_trials: int > 0 or None, for no end but the space's.
        hyperparameters: the space, each conditional one after its parents.
        seed: int >= 0. Default: 0.
        options: as `keras_tuner.Oracle` takes them.

    Example:

    >>> import keras_tuner
    >>> space = keras_tuner.HyperParameters()
    >>> _ = space.Choice("units", [32, 64])
    >>> oracle = RandomOracle("val_loss", max_trials=5, hyperparameters=space, seed=0)
    >>> oracle.values_of(1)["units"] in (32, 64)
    True

    Reference: Bergstra and Bengio 2012, Random Search for Hyper-Parameter Optimization, JMLR 13.
    """

    def values_of(self, number: int) -> Values | None:
        """A random point that no trial has had."""
        tried = {identity(trial.hyperparameters.values) for trial in self.trials.values()}
        return drawn_untried(self.hyperparameters.space, self.seed, number, tried)


class GridOracle(_NumberedOracle):
    """Every combination of active values, in the order of the space, the first hyperparameter changing slowest.

    The ends of a stepped range are exact. Trial n is the nth combination, so that nothing but the number of trials has
    to be known to continue. `keras_tuner.GridSearch` fails on resume with KeyError, and gives a range without a step
    ten points that leave out both ends.

    Args:
        objective, max_trials, hyperparameters, options: as `RandomOracle` takes them.
        seed: not used: a grid has nothing random.

    Raises:
        InputError: a continuous range, at the first trial.

    Example:

    >>> import keras_tuner
    >>> space = keras_tuner.HyperParameters()
    >>> _ = space.Float("rate", 0.0, 0.3, step=0.1)
    >>> oracle = GridOracle("val_loss", hyperparameters=space)
    >>> [oracle.values_of(number) for number in (2, 4, 5)]
    [{'rate': 0.1}, {'rate': 0.3}, None]
    """

    def values_of(self, number: int) -> Values | None:
        """The combination of that number."""
        return next(itertools.islice(combinations(self.hyperparameters.space, grid_points), number - 1, None), None)


def grid_points(hyperparameter: Any) -> Sequence[Any]:
    """The points of a hyperparameter in a grid. Raises InputError for a continuous range."""
    found = points(hyperparameter)
    if found is None:
        raise InputError(f"`{hyperparameter.name}`: a grid needs the points of a range. Received: {hyperparameter}.")
    return found
