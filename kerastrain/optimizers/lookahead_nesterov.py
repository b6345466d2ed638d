"""Nesterov momentum whose parameters can be told apart from the point the gradient is taken at."""

from typing import Any, ClassVar

import keras

from kerastrain._core.registry import NonNegativeFloat, PositiveFloat, UnitInterval
from kerastrain.optimizers.lookahead_optimizer import LookaheadOptimizer
from kerastrain.optimizers.tunable_optimizer import number_or_schedule, number_schedule_or_none


@keras.saving.register_keras_serializable(package="kerastrain")
class LookaheadNesterov(LookaheadOptimizer):
    """Nesterov momentum as the textbook writes it: the gradient is taken ahead, and `theta()` tells the parameters.

        v     <- rho v - a g(theta + rho v)
        theta <- theta + v

    The model's variables hold the lookahead point `p = theta + rho v`, where the forward pass takes the gradient (p is
    theta at the start). `keras.optimizers.SGD(nesterov=True)` walks the same p, but tells neither theta nor v, and its
    momentum cannot move. During training and after `fit` the model holds p, which nothing moves back at the end
    (`finalize_variable_values` is left alone): set the variables to `theta()` to evaluate or save the parameters, and
    back to go on.

    Use it where the textbook's sequence theta matters: to compare, to average, to evaluate under a large momentum, when
    p and theta lie apart. Not needed when only the trained network matters: the two meet as the rate decays.

    Args:
        learning_rate: the rate a; a float >= 0 or a schedule. Default 0.01.
        momentum: rho, from 0 to 1, or a schedule of it. Default 0.9.
        l2: coupled penalty, `g <- g + l2 p`, the gradient of the penalized loss at the lookahead point. A float >= 0, a
            schedule, or None (default) for none.
        weight_decay: decoupled decay, `a weight_decay p` taken off p and theta before the update. A float >= 0, a
            schedule, or None (default) for none.
        **kwargs: `keras.optimizers.Optimizer`'s.

    State: for each trainable variable `velocity` v, of its shape and dtype, and the scalar float32
    `lookahead_momentum`, the rho of its last update; the scalars `momentum`, and `l2` and `weight_decay` where given,
    in `hyperparameters`.

    Raises:
        InputError: an argument out of its range; `theta()` before the optimizer is built.

    Example:

    >>> weight = keras.Variable([1.0])
    >>> optimizer = LookaheadNesterov(0.1, momentum=0.5)
    >>> for _ in range(2):
    ...     optimizer.apply([2 * weight.value], [weight])  # the gradient of w^2, where the model stands
    >>> [round(float(value), 4) for value in (weight[0], optimizer.theta()[0][0])]
    [0.44, 0.56]

    Reference: Y. Nesterov, 1983, "A method of solving a convex programming problem with convergence rate O(1/k^2)"; in
    this form I. Sutskever et al., 2013, "On the importance of initialization and momentum in deep learning"; for the
    lookahead point Y. Bengio et al., 2012, "Advances in optimizing recurrent networks", arXiv:1212.0901. Deviations:
    when rho moves, the point where the gradient is taken was made with the rho of the update before, as the next one is
    not known yet; the two equations above hold for the rest. Decoupled decay and weight constraints act on p.
    """

    elementwise: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: PositiveFloat | keras.optimizers.schedules.LearningRateSchedule = 0.01,
        momentum: UnitInterval | keras.optimizers.schedules.LearningRateSchedule = 0.9,
        l2: NonNegativeFloat | keras.optimizers.schedules.LearningRateSchedule | None = None,
        weight_decay: NonNegativeFloat | keras.optimizers.schedules.LearningRateSchedule | None = None,
        **kwargs: Any,
    ) -> None:
        hyperparameters = {
            "momentum": number_or_schedule("momentum", momentum, minimum=0, maximum=1),
            "l2": number_schedule_or_none("l2", l2, minimum=0),
        }
        super().__init__(learning_rate, hyperparameters, weight_decay=weight_decay, **kwargs)

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self.add_lookahead(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = keras.ops.cast(learning_rate, variable.dtype)
        self.lookahead_step(variable, self.gradient_of(gradient, variable) * rate)
