"""One instance of the wrapped rule, for the variables of a model that share their options."""

from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core import keras_optimizer
from kerastrain._core.conditional import conditional
from kerastrain.optimizers.tunable_optimizer import TunableOptimizer


class Member:
    """The rule, its learning rate as a multiple of the whole optimizer's, and its switch.

    A plain object: what Keras finds in an optimizer's attributes, it would save a second time.

    Args:
        rule: an optimizer that is not built.
        multiplier: of the learning rate.
        weight_decay: a scalar variable, or None.
        decay_of_group: whether a group set the decay; it then overrides decays that the rule has beside it (Muon).
        switch: a scalar variable, 0 for frozen; None for always trained.
    """

    def __init__(
        self,
        rule: keras.optimizers.Optimizer,
        multiplier: float,
        weight_decay: keras.Variable | None,
        decay_of_group: bool,
        switch: keras.Variable | None,
    ) -> None:
        self.rule = rule
        self.multiplier = multiplier
        self.switch = switch
        self._rate: Any = None
        if isinstance(rule, TunableOptimizer):
            rule.wrapped = True
        rule.weight_decay = weight_decay
        if decay_of_group and hasattr(rule, "adam_weight_decay"):
            rule.adam_weight_decay = weight_decay

    def build(self, variables: Sequence[keras.Variable], iterations: keras.Variable) -> None:
        """Make the rule's slots for `variables`; it counts by `iterations` from now on."""
        keras_optimizer.follow(self.rule, iterations, lambda: self._rate)
        self.rule.build(list(variables))

    def update(
        self, gradients: Sequence[Any], variables: Sequence[Any], learning_rate: Any, everything: Sequence[Any]
    ) -> None:
        """One update with the whole optimizer's learning rate, and the variables' constraints after it.

        `everything` is all that a branch of the step may read: its decay need not be among the rule's own variables.
        """
        self._rate = learning_rate if self.multiplier == 1.0 else learning_rate * self.multiplier
        try:
            if self.switch is None:
                self._update(gradients, variables)
            else:
                conditional(
                    self.switch > 0,
                    lambda: self._update(gradients, variables),
                    variables=everything,
                )
        finally:
            self._rate = None  # A tensor of a traced step must not live on.

    def _update(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        keras_optimizer.update(self.rule, gradients, variables, self._rate)
        for variable in variables:
            if getattr(variable, "constraint", None) is not None:
                variable.assign(variable.constraint(variable))
