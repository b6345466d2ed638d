"""A Keras model whose members learn apart and answer together."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras

from kerastrain._core.errors import InputError
from kerastrain.topologies.ensemble_member import EnsembleMember

VOTE = "vote"

# The ensemble whose own training or evaluation step is under way in this thread. Keras's steps hand the output of
# `call` to the loss and to the metrics, and this tells `call` that they ask: no backend needs a step of its own.
_stepping: contextvars.ContextVar[keras.Model | None] = contextvars.ContextVar("stepping", default=None)


@keras.saving.register_keras_serializable(package="kerastrain")
class VotingEnsemble(keras.Model):
    """Members that each follow their own loss, in one model that answers with their vote.

    A functional model: inputs -> an `EnsembleMember` each -> `vote`, a `VotingLayer`. Called, in
    `predict`, exported or nested in another model it gives the vote. In `fit` and `evaluate`

    - the loss, one for all, goes to each member's own output, so that a member learns what it would have learned
      alone, given an optimizer that treats weights one by one (clipping by a global norm does not);
    - the logged `loss` is the mean of the members' losses, comparable to that of one model, while the gradient is that
      of their sum, which leaves each member the learning rate as it is;
    - metrics see the vote.

    A loss on the vote itself is what a plain `keras.Model` with the same inputs and outputs trains.

    Args:
        inputs: as in `keras.Model`.
        outputs: the output of a `VotingLayer` called `vote`, whose inputs are the outputs of the members.
        name: the model's name.

    Example: see `kerastrain.topologies.ensemble`, which makes one.

    Reference: Varma, lecture 7, "Parallel Processing: Model Ensembles"; Hansen and Salamon, 1990, Neural network
    ensembles, IEEE Transactions on Pattern Analysis and Machine Intelligence 12 (10).
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if _stepping.get() is not self:
            return super().call(inputs, training=training, mask=mask)
        voters = self.get_layer(VOTE).input
        voters = voters if isinstance(voters, list) else [voters]
        # Made for each trace and not kept: as an attribute, its layers would be saved twice.
        outputs = keras.Model(self.input, voters, name="members")(inputs, training=training)
        return outputs if isinstance(outputs, list) else [outputs]

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._step():
            return super().train_step(*args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._step():
            return super().test_step(*args, **kwargs)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The mean of the members' losses, with the gradient of their sum. Penalties count once, with their member."""
        if not isinstance(y_pred, list):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        losses = [super(VotingEnsemble, self).compute_loss(x, y, member, sample_weight, training) for member in y_pred]
        total = sum(losses[1:], losses[0])
        for penalty in self.losses:  # each of the losses holds the penalties of all members
            total = total - (len(losses) - 1) * keras.ops.sum(penalty)
        return total - keras.ops.stop_gradient(total - total / len(losses))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The compiled metrics of the vote."""
        vote = self.get_layer(VOTE)(y_pred) if isinstance(y_pred, list) else y_pred
        return super().compute_metrics(x, y, vote, sample_weight)

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        token = _stepping.set(self)
        try:
            yield
        finally:
            _stepping.reset(token)


def members(model: keras.Model) -> list[EnsembleMember]:
    """The members of a `VotingEnsemble`, in order; each is a Keras model of its own that shares the weights.

    Raises:
        InputError: the model is no `VotingEnsemble`.
    """
    if not isinstance(model, VotingEnsemble):
        raise InputError(f"`model` must be a VotingEnsemble. Received: {type(model).__name__} `{model.name}`.")
    return [layer for layer in model.layers if isinstance(layer, EnsembleMember)]
