"""What a `ComposedOptimizer` does with the gradients of one batch, in order."""

from collections.abc import Sequence
from typing import Any

from kerastrain._core import keras_optimizer, replicas, tensor_lists
from kerastrain._core.conditional import conditional
from kerastrain.optimizers import composed_arguments
from kerastrain.optimizers.accumulation import Accumulation
from kerastrain.optimizers.fusion import Fusion
from kerastrain.optimizers.routing import Routing
from kerastrain.optimizers.transforms.gradient_transform import transformed
from kerastrain.optimizers.transforms.skip_non_finite import SkipNonFinite

# By number of a stack, which of its variables have a gradient, where some have none.
Partial = dict[int, list[bool]]


class ComposedStep:
    """The step of an optimizer that is built.

    A plain object, so that Keras does not look for state in it.

    Args:
        optimizer: the composed optimizer, with its transforms and averaging.
        routing: its groups and rule.
        fusion: which variables are updated as one.
        accumulation: of the gradients, or None.
    """

    def __init__(self, optimizer: Any, routing: Routing, fusion: Fusion, accumulation: Accumulation | None) -> None:
        self._optimizer = optimizer
        self._routing = routing
        self._fusion = fusion
        self._accumulation = accumulation
        transforms = optimizer.gradient_transforms
        self._skip = next((item for item in transforms if isinstance(item, SkipNonFinite)), None)
        # The transforms up to the last that asks for the gradient of each variable come before gradients are joined.
        asking = [place for place, transform in enumerate(transforms) if transform.by_variable]
        self._apart = transforms[: asking[-1] + 1] if asking else ()
        self._joined = transforms[len(self._apart) :]

    @property
    def joins_first(self) -> bool:
        """Whether gradients are joined before anything else is done to them."""
        return not self._apart

    def run(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        """Skip, accumulate or update."""
        optimizer = self._optimizer
        gradients, variables = self._routing.without_frozen(gradients, variables)
        gradients = [tensor_lists.dense(gradient) for gradient in gradients]
        partial: Partial = {}
        if self.joins_first:
            gradients, variables, partial = self._join(gradients, variables)
        gradients = replicas.summed(gradients)
        if optimizer.loss_scale_factor is not None:
            gradients = [gradient / optimizer.loss_scale_factor for gradient in gradients]
        if self._skip is None or not gradients:  # None where all are frozen: the step counts all the same.
            self._step(gradients, variables, partial)
            return
        conditional(
            tensor_lists.all_finite(gradients),
            lambda: self._step(gradients, variables, partial),
            self._skip.count,
            variables=[*keras_optimizer.built_with(optimizer), *optimizer.variables],
        )

    def _join(self, gradients: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], list[Any], Partial]:
        gradients, units, partial = self._fusion.joined(gradients, variables)
        if partial:
            composed_arguments.check_all_have_gradients(self._routing.rule, self._fusion, partial)
        return gradients, units, partial

    def _step(self, gradients: list[Any], variables: list[Any], partial: Partial) -> None:
        if self._accumulation is None:
            self._update(gradients, variables, partial)
        else:
            self._accumulation.step(gradients, variables, lambda mean, theirs: self._update(mean, theirs, partial))

    def _update(self, gradients: list[Any], variables: list[Any], partial: Partial) -> None:
        optimizer, fusion = self._optimizer, self._fusion
        gradients = self._routing.masked(gradients, variables)
        if not self.joins_first:
            gradients = transformed(self._apart, gradients, variables)
            gradients, variables, partial = self._join(gradients, variables)
        gradients = transformed(self._joined, gradients, variables)
        fusion.read()
        if optimizer.averaging is not None:
            optimizer.averaging.before_update(optimizer.iterations, fusion.units)
        with fusion.kept(partial, self._routing.slots):
            self._routing.update(gradients, variables, optimizer.learning_rate)
        if optimizer.averaging is not None:
            optimizer.averaging.after_update(optimizer.iterations, fusion.units)
        fusion.write()
        optimizer.iterations.assign_add(1)
