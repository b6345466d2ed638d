"""Networks in parallel whose vote decides."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import keras
from pydantic import Field

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeFloat, PositiveInt, component
from kerastrain.topologies.arguments import image_layers, image_shape
from kerastrain.topologies.catalog import DATA_FORMS, TASKS, TOPOLOGIES
from kerastrain.topologies.ensemble_member import EnsembleMember
from kerastrain.topologies.parts import through
from kerastrain.topologies.seeds import derived_seed
from kerastrain.topologies.voting_ensemble import VOTE, VotingEnsemble
from kerastrain.topologies.voting_layer import VotingLayer, checked_weights

if TYPE_CHECKING:
    Member = str | Mapping[str, Any]
    Members = int | Sequence[Member]
else:
    Member = component(TOPOLOGIES)
    Members = PositiveInt | Annotated[list[Member], Field(min_length=1)]


def ensemble(
    *,
    members: Members = 3,
    member: Member | None = None,
    voting: Literal["mean", "majority", "weighted"] = "mean",
    weights: list[NonNegativeFloat] | None = None,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    preprocessing: Sequence[keras.Layer] = (),
    seed: int | None = None,
    name: str = "ensemble",
) -> VotingEnsemble:
    """Members in parallel that learn apart, each by its own loss, and answer by vote.

    Their errors differ, since their initial weights do, or their architectures, and the vote averages them out. Costs
    as much as its members together; `VotingEnsemble` says what `fit`, `evaluate` and `predict` see.

    Args:
        members: how many members of one kind, differing by seed; or a list of them, each a topology's name or a mapping
            such as `{"topology": "residual", "depth": 20}`.
        member: the one kind when `members` is a number; None is `convnet`.
        voting: `"mean"`, `"majority"` or `"weighted"`, see `VotingLayer`.
        weights: for `"weighted"`: one number >= 0 a member.
        input_shape: `(height, width, channels)`.
        classes: number of classes, at least 2.
        preprocessing: layers applied once to the raw image, before all members.
        seed: member k is built with `member_seed(seed, k)`; None draws new weights each time.
        name: the model's name.

    Input shape: `(batch, height, width, channels)`, uint8 or float. Output shape: `(batch, classes)`, float32.

    Raises:
        InputError: an unknown member, one that does not answer with one class of one image, or weights that do not fit.

    Example:

    >>> from kerastrain.topologies import ensemble
    >>> model = ensemble(members=["mlp_functional", {"topology": "convnet", "widths": [8]}], input_shape=(8, 8, 3))
    >>> [layer.name for layer in model.layers]
    ['image', 'member1', 'member2', 'vote']

    Reference: Varma, lecture 7, "Parallel Processing: Model Ensembles".
    """
    kinds = _kinds(members, member)
    normalized = checked_weights(voting, weights)
    if normalized is not None and len(normalized) != len(kinds):
        raise InputError(
            f"`weights` must have one number for each of {len(kinds)} members. Received: weights={weights!r}."
        )
    inputs, raw_layers = image_layers(image_shape(input_shape, rank=None), preprocessing)
    x = through(inputs, raw_layers)
    outputs = []
    for number, (kind, arguments) in enumerate(kinds, start=1):
        shape = tuple(x.shape[1:])
        outputs.append(_member(number, kind, arguments, input_shape=shape, classes=classes, seed=seed)(x))
    vote = VotingLayer(voting, weights, dtype="float32", name=VOTE)(outputs)
    return VotingEnsemble(inputs, vote, name=name)


def member_seed(seed: int | None, number: int) -> int | None:
    """The seed of member `number`, from 1, of an ensemble with `seed`: the same member can be built alone."""
    return derived_seed(seed, f"member{number}")


def _member(number: int, kind: str, arguments: dict[str, Any], *, seed: int | None, **data: Any) -> EnsembleMember:
    name = f"member{number}"
    with keras.name_scope(name):
        model = TOPOLOGIES[kind].target(**arguments, **data, seed=member_seed(seed, number), name=name)
    # Not `model.input`, which a Sequential has only when it was called.
    return EnsembleMember(model.inputs[0], model.outputs[0], name=name)


def _kinds(members: Members, member: Member | None) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(members, str | Mapping) or not isinstance(members, Sequence):
        kind = _kind("member", "convnet" if member is None else member)
        return [kind] * whole_number("members", members)
    if member is not None:
        raise InputError(
            f"`member` is for a number of equal members, and `members` lists them. Received: member={member!r}."
        )
    if not members:
        raise InputError("`members` must list at least one member. Received: members=[].")
    return [_kind(f"members[{index}]", item) for index, item in enumerate(members)]


def _kind(place: str, value: Any) -> tuple[str, dict[str, Any]]:
    arguments = dict(value) if isinstance(value, Mapping) else {TOPOLOGIES.key: value}
    name = arguments.pop(TOPOLOGIES.key, None)
    if not isinstance(name, str):
        raise InputError(f"`{place}` must be a topology's name or a mapping with `topology`. Received: {value!r}.")
    entry = TOPOLOGIES[name]
    if TASKS[name] != "multiclass" or DATA_FORMS[name] != "image" or entry.target is ensemble:
        raise InputError(f"`{place}` must be a network that classifies one image. Received: `{name}`.")
    unknown = sorted(set(arguments) - set(entry.arguments.model_fields))
    if unknown:
        known = ", ".join(entry.arguments.model_fields)
        raise InputError(f"`{place}`: `{name}` has no argument `{unknown[0]}`. Known: {known}.")
    return name, arguments
