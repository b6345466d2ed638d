"""The vote of an ensemble's members."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import keras

from kerastrain._core.errors import InputError, closest

VOTINGS = ("mean", "majority", "weighted")

_TIE_BREAK = 0.01


def checked_weights(voting: str, weights: Any) -> list[float] | None:
    """`weights` as floats that sum to 1. Raises InputError where they do not fit `voting` or each other."""
    if voting not in VOTINGS:
        raise InputError(
            f"`voting` must be one of {', '.join(VOTINGS)}. Received: voting={voting!r}.{closest(voting, VOTINGS)}"
        )
    if voting != "weighted":
        if weights is not None:
            raise InputError(
                f"`weights` are for voting='weighted' only. Received: voting={voting!r}, weights={weights!r}."
            )
        return None
    expected = "`weights` must be a list of finite numbers >= 0, one a member, of which one is > 0."
    if isinstance(weights, str) or not isinstance(weights, Sequence) or not weights:
        raise InputError(f"{expected} Received: weights={weights!r}.")
    if any(isinstance(w, bool) or not isinstance(w, int | float) or not 0 <= w < math.inf for w in weights):
        raise InputError(f"{expected} Received: weights={weights!r}.")
    total = math.fsum(weights)
    if not 0 < total < math.inf:
        raise InputError(f"{expected} Received: weights={weights!r}.")
    return [weight / total for weight in weights]


@keras.saving.register_keras_serializable(package="kerastrain")
class VotingLayer(keras.layers.Layer):
    """Class probabilities of several members -> those of their vote.

    With `p[k]` the probabilities of member k of M, for each sample:

    - `mean`: `sum_k p[k] / M`. The usual best choice: it uses how sure the members are.
    - `weighted`: `sum_k w[k] p[k]`, the weights scaled to sum 1. For members of unlike quality.
    - `majority`: one ballot a member, for its most probable class (the first one of equals). A tie of ballots goes to
      the class of the larger mean probability: `(ballots + 0.01 mean) / (M + 0.01)`, so the outputs are the fractions
      of the ballots up to 0.01 / M, and sum to 1.

    `keras.layers.Average` is the plain mean of a list and has no other vote.

    Args:
        voting: `"mean"`, `"majority"` or `"weighted"`.
        weights: for `"weighted"` only: one number >= 0 a member, not all 0.

    Call arguments:
        inputs: a tensor `(batch, members, classes)`, or a list of one tensor `(batch, classes)` a member.

    Output shape: `(batch, classes)`.

    Raises:
        InputError: an unknown vote, weights that do not fit it, or not one a member.

    Example:

    >>> import numpy as np
    >>> members = np.array([[[0.6, 0.4], [0.2, 0.8], [0.3, 0.7]]])
    >>> [round(float(p), 3) for p in VotingLayer("mean")(members)[0]]
    [0.367, 0.633]
    """

    def __init__(
        self,
        voting: Literal["mean", "majority", "weighted"] = "mean",
        weights: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.normalized_weights = checked_weights(voting, weights)
        self.voting = voting
        self.weights_given = None if weights is None else list(weights)

    def build(self, input_shape: Any) -> None:
        members = len(input_shape) if _is_list(input_shape) else input_shape[1]
        if self.normalized_weights is not None and len(self.normalized_weights) != members:
            raise InputError(
                f"`weights` must have one number a member, so {members}. Received: weights={self.weights_given!r}."
            )

    def call(self, inputs: Any) -> Any:
        members = keras.ops.stack(inputs, axis=1) if isinstance(inputs, list | tuple) else inputs
        if self.normalized_weights is not None:
            weights = keras.ops.convert_to_tensor(self.normalized_weights, dtype=members.dtype)
            return keras.ops.sum(members * weights[None, :, None], axis=1)
        mean = keras.ops.mean(members, axis=1)
        if self.voting == "mean":
            return mean
        count, classes = members.shape[1:]
        favorites = keras.ops.argmax(members, axis=-1)
        ballots = keras.ops.sum(keras.ops.one_hot(favorites, classes, dtype=members.dtype), axis=1)
        return (ballots + _TIE_BREAK * mean) / (count + _TIE_BREAK)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        if _is_list(input_shape):
            return tuple(input_shape[0])
        return (input_shape[0], input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "voting": self.voting, "weights": self.weights_given}


def _is_list(input_shape: Any) -> bool:
    return isinstance(input_shape[0], list | tuple)
