"""One model out of several that are trained already."""

import os
from collections.abc import Sequence
from typing import Any, Literal

import keras

from kerastrain._core.errors import InputError
from kerastrain.topologies.ensemble_member import EnsembleMember
from kerastrain.topologies.voting_ensemble import VOTE, VotingEnsemble
from kerastrain.topologies.voting_layer import VotingLayer, checked_weights


def voting_ensemble_of(
    models: Sequence[Any],
    voting: Literal["mean", "majority", "weighted"] = "mean",
    weights: Sequence[float] | None = None,
    name: str = "ensemble",
) -> VotingEnsemble:
    """The vote of models that are trained already, as one Keras model that is saved and loaded as one file.

    For the snapshots of one training with a cyclical rate, the best checkpoints of several trainings, or the best
    trials of a search. The members are copies; `VotingEnsemble` says what `predict`, `evaluate` and further training
    do. `kerastrain.topologies.ensemble` makes members that are not trained yet.

    Args:
        models: Sequential or functional models of one input and one output, the class probabilities, all of the same
            shapes; or paths of `.keras` files that hold such.
        voting: `"mean"`, `"majority"` or `"weighted"`, see `VotingLayer`.
        weights: for `"weighted"`: one number >= 0 a model.
        name: of the new model.

    Input shape: that of the models. Output shape: `(batch, classes)`, float32.

    Raises:
        InputError: no model, a path that is no model, models of unlike shapes, or weights that do not fit.

    Example:

    >>> def classifier():
    ...     return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    >>> ensemble = voting_ensemble_of([classifier(), classifier()])
    >>> [layer.name for layer in ensemble.layers], ensemble.output_shape
    (['inputs', 'member1', 'member2', 'vote'], (None, 3))

    Reference: Huang et al., 2017, Snapshot ensembles: train 1, get M for free, arXiv:1704.00109; Varma, lecture 7,
    "Parallel Processing: Model Ensembles".
    """
    if isinstance(models, str) or not isinstance(models, Sequence) or not models:
        raise InputError(f"`models` must be a list of Keras models or of .keras files. Received: {models!r}.")
    normalized = checked_weights(voting, weights)
    if normalized is not None and len(normalized) != len(models):
        raise InputError(f"`weights` must have one number for each of {len(models)} models. Received: {weights!r}.")
    loaded = [_model(place, given) for place, given in enumerate(models)]
    first = loaded[0]
    for place, model in enumerate(loaded):
        shapes = model.input_shape, model.output_shape
        if shapes != (first.input_shape, first.output_shape):
            raise InputError(
                f"`models[{place}]` must have the shapes of the first, {first.input_shape} -> {first.output_shape}. "
                f"Received: {shapes[0]} -> {shapes[1]}."
            )
    inputs = keras.Input(first.input_shape[1:], dtype=first.inputs[0].dtype, name="inputs")
    outputs = [_member(number, model)(inputs) for number, model in enumerate(loaded, start=1)]
    return VotingEnsemble(inputs, VotingLayer(voting, weights, dtype="float32", name=VOTE)(outputs), name=name)


def _model(place: int, given: Any) -> keras.Model:
    model = given
    if isinstance(given, str | os.PathLike):
        if not os.path.isfile(given):
            raise InputError(f"`models[{place}]`: there is no file {os.fspath(given)}.")
        try:
            model = keras.saving.load_model(given, compile=False)
        except (ValueError, OSError) as error:
            raise InputError(f"`models[{place}]`: {os.fspath(given)} is no Keras model ({error}).") from None
    if not isinstance(model, keras.Model) or not model.built or len(getattr(model, "inputs", None) or ()) != 1:
        raise InputError(
            f"`models[{place}]` must be a built model of one input, or a .keras file. Received: {given!r}."
        )
    if len(model.outputs) != 1 or len(model.output_shape) != 2:
        raise InputError(
            f"`models[{place}]` must give class probabilities (batch, classes). Its output is {model.output_shape}."
        )
    return model


def _member(number: int, model: keras.Model) -> EnsembleMember:
    """A copy of `model` whose variables' paths begin with the member's name."""
    graph = keras.Model(model.inputs[0], model.outputs[0])
    config = {**graph.get_config(), "name": f"member{number}"}
    member = EnsembleMember.from_config(config)
    member.set_weights(graph.get_weights())
    return member
