"""Compiled models that are used again: tracing and compiling is most of what a short trial costs."""

import collections
from typing import Any

import keras

from kerastrain._core.keras_layers import all_layers
from kerastrain._core.training_state import training_variables
from kerastrain.topologies.rates_in_variables import rate_variables


class CompiledModels:
    """The last few compiled models, by their structure.

    Args:
        limit: how many are kept, the least recently used going first. Each holds its weights, its optimizer's state and
            its compiled steps.
    """

    def __init__(self, limit: int = 4) -> None:
        self.limit = limit
        self._models: collections.OrderedDict[str, keras.Model] = collections.OrderedDict()

    def take(self, structure: str, fresh: keras.Model) -> keras.Model | None:
        """The kept model of this structure in the state of `fresh`, as if it were that one; None where there is none.

        It is no longer among the kept: `keep` it when its training has ended as it should.

        Args:
            structure: as `structure` tells it.
            fresh: a compiled model of the structure that nothing was done with.
        """
        model = self._models.pop(structure, None)
        return model if model is not None and put_into(fresh, model) else None

    def keep(self, structure: str, model: keras.Model) -> None:
        """Keep a compiled model of a finished training."""
        self._models[structure] = model
        while len(self._models) > self.limit:
            self._models.popitem(last=False)

    def __len__(self) -> int:
        return len(self._models)


def put_into(source: keras.Model, target: keras.Model) -> bool:
    """Give `target` the weights, statistics, seeds and the optimizer's state of `source`, every bit of it.

    The rates in variables that `source` has and `target` has as numbers are left out.

    Returns:
        False where they are not of one structure; nothing is changed then.
    """
    for model in (source, target):
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    theirs, own = training_variables(source), training_variables(target)
    if len(theirs) != len(own):
        rates = {id(variable) for layer in all_layers(source) for variable in rate_variables(layer)}
        theirs = [variable for variable in theirs if id(variable) not in rates]
    if [_description(variable) for variable in theirs] != [_description(variable) for variable in own]:
        return False
    for one, other in zip(theirs, own, strict=True):
        # A copy: JAX gives what a step was given away.
        other.assign(keras.ops.copy(one.value))
    return True


def _description(variable: keras.Variable) -> tuple[Any, ...]:
    # Not the whole path: a LossScaleOptimizer's slots have its name in front only when a trace makes them.
    return variable.name, tuple(variable.shape), str(variable.dtype)
