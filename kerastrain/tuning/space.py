"""The space of a search file on keras-tuner's HyperParameters, and the way from drawn values to a recipe's keys."""

import json
from collections.abc import Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kinds

from kerastrain.tuning.parameters import (
    BoolParameter,
    ChoiceParameter,
    IntParameter,
    Parameter,
    VariantsParameter,
    same,
)


class Space:
    """Parameters by dotted path, each after those that it is conditional on.

    keras-tuner's choices are of one plain type and never null, so a `choice` goes in as JSON text, and `decode` brings
    it back. A range with points goes in as the list of its points, which keeps its ends exact; only a range without
    them goes in as a `Float` or `Int`.

    Args:
        parameters: path -> parameter, as `SearchConfig.space` has them: conditions known and without circles.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.parameters: dict[str, Parameter] = {}
        waiting = list(parameters)
        while waiting:
            path = next(path for path in waiting if all(parent in self.parameters for parent in parameters[path].when))
            waiting.remove(path)
            self.parameters[path] = parameters[path]

    def declare(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        """Add every parameter to `hyperparameters`, with its conditions."""
        hyperparameters.merge(self.hyperparameters())

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """A fresh keras-tuner space of these parameters.

        It is made of configurations since keras-tuner's `conditional_scope` knows no parameter with two parents.
        """
        space = []
        for path, parameter in self.parameters.items():
            made = _hyperparameter(path, parameter)
            conditions = [
                {"name": parent, "values": [_encode(self.parameters[parent], value) for value in values]}
                for parent, values in parameter.when.items()
            ]
            config = {**made.get_config(), "conditions": [{"class_name": "Parent", "config": c} for c in conditions]}
            space.append({"class_name": type(made).__name__, "config": config})
        return keras_tuner.HyperParameters.from_config({"space": space, "values": {}})

    def decode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The chosen values of keras-tuner's active `values`, in the order of the space."""
        return {
            path: json.loads(values[path]) if isinstance(parameter, ChoiceParameter) else values[path]
            for path, parameter in self.parameters.items()
            if path in values
        }


def _encode(parameter: Parameter, value: Any) -> Any:
    # The point itself, not the value that equals it: 1 and 1.0 are different texts.
    point = next((point for point in parameter.points() or () if same(point, value)), value)
    return json.dumps(point) if isinstance(parameter, ChoiceParameter) else point


def _hyperparameter(path: str, parameter: Parameter) -> kinds.HyperParameter:
    if isinstance(parameter, ChoiceParameter):
        return kinds.Choice(path, [json.dumps(value) for value in parameter.values], ordered=False)
    if isinstance(parameter, BoolParameter):
        return kinds.Boolean(path)
    points = parameter.points()
    if isinstance(parameter, VariantsParameter) or isinstance(points, list):
        return kinds.Choice(path, points)
    kind = kinds.Int if isinstance(parameter, IntParameter) else kinds.Float
    return kind(path, parameter.min, parameter.max, sampling=parameter.scale)
