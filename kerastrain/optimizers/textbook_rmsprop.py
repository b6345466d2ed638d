"""RMSProp with epsilon outside the root, and with Nesterov momentum."""

from typing import Any, ClassVar

import keras

from kerastrain._core.checks import boolean, number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import Fraction, NonNegativeFloat, PositiveFloat, UnitInterval
from kerastrain.optimizers.lookahead_optimizer import LookaheadOptimizer
from kerastrain.optimizers.tunable_optimizer import number_or_schedule


@keras.saving.register_keras_serializable(package="kerastrain")
class TextbookRMSProp(LookaheadOptimizer):
    """RMSProp with epsilon outside the root, plain, with momentum, or with Nesterov momentum.

    `keras.optimizers.RMSprop` has epsilon inside, `g / sqrt(A + epsilon)`, whose default 1e-7 bounds the denominator by
    3e-4 rather than 1e-8, and has no Nesterov form. With gradient `g`, rate `a` and momentum `b`, from `A = v = 0`:

        A    <- rho A + (1 - rho) g^2
        step  = a g / (sqrt(A) + epsilon)
        w    <- w - step                                     without momentum
        v    <- b v - step,  w <- w + v                      with momentum
        the same, with g and A taken at theta + b v          with nesterov

    With `nesterov` the model's variables hold the lookahead point `p = theta + b v`, also after `fit`, and `theta()`
    tells the parameters, as in `LookaheadNesterov`; without it `theta()` tells the variables' values.

    Use it to repeat a textbook's or PyTorch's RMSProp, or RMSProp with Nesterov momentum. Not where Keras's will do,
    whose larger floor is the tamer one for gradients near 0: here the first step of a weight is about
    `a / sqrt(1 - rho)`, however small its gradient.

    Args:
        learning_rate: the rate a; a float >= 0 or a schedule. Default 0.001.
        rho: how much of the moving average A is kept, 0 <= rho < 1, or a schedule of it. Default 0.9.
        momentum: b, from 0 (default: no velocity is made) to 1, or a schedule of it.
        nesterov: take the gradient at the lookahead point; needs a momentum. Default False.
        epsilon: a float > 0. Default 1e-8. For the rule without epsilon, a tiny one such as 1e-30: a gradient that has
            been 0 from the start is then 0 / 1e-30, not 0 / 0.
        weight_decay: decoupled decay, `w -= a weight_decay w` before the update. A float >= 0, a schedule, or None
            (default) for none.
        **kwargs: `keras.optimizers.Optimizer`'s.

    State: for each trainable variable `average_square` A and, with momentum, `velocity` v, of its shape and dtype, and,
    with nesterov, the scalar `lookahead_momentum`; the scalars `rho`, and `momentum` (where it is not 0) and
    `weight_decay` where given, in `hyperparameters`.

    Raises:
        InputError: an argument out of its range; nesterov without momentum; `theta()` before the optimizer is built.

    Example:

    >>> weights = keras.Variable([1.0, 1.0])
    >>> optimizer = TextbookRMSProp(0.1, rho=0.75)
    >>> optimizer.apply([keras.ops.array([3.0, -0.003])], [weights])  # a step of 0.1 / sqrt(1 - 0.75) for either
    >>> [round(float(value), 4) for value in keras.ops.convert_to_numpy(weights)]
    [0.8, 1.2]

    Reference: G. Hinton, N. Srivastava, K. Swersky, 2012, "Neural networks for machine learning", lecture 6e (without
    epsilon); I. Goodfellow, Y. Bengio, A. Courville, 2016, "Deep Learning", algorithm 8.6 (with Nesterov momentum).
    Deviations: epsilon, which algorithm 8.6 has not; the deviations of `LookaheadNesterov` when the momentum moves.
    `torch.optim.RMSprop` is the same without momentum; with it, its rate multiplies the velocity, here it is inside, so
    the two differ under a rate that moves.
    """

    elementwise: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: PositiveFloat | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        rho: Fraction | keras.optimizers.schedules.LearningRateSchedule = 0.9,
        momentum: UnitInterval | keras.optimizers.schedules.LearningRateSchedule = 0.0,
        nesterov: bool = False,
        epsilon: PositiveFloat = 1e-8,
        weight_decay: NonNegativeFloat | keras.optimizers.schedules.LearningRateSchedule | None = None,
        **kwargs: Any,
    ) -> None:
        momentum = number_or_schedule("momentum", momentum, minimum=0, maximum=1)
        if boolean("nesterov", nesterov) and momentum == 0:
            raise InputError(
                f"`nesterov` needs a momentum. Received: nesterov=True, momentum={momentum!r}. "
                "Use momentum=0.9, or leave nesterov out."
            )
        hyperparameters = {
            "rho": number_or_schedule("rho", rho, minimum=0, below=1),
            "momentum": None if momentum == 0 else momentum,
        }
        epsilon = number("epsilon", epsilon, above=0, remedy="Use a tiny one, such as 1e-30, for none.")
        super().__init__(learning_rate, hyperparameters, weight_decay=weight_decay, **kwargs)
        self.nesterov = nesterov
        self.epsilon = epsilon

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._average_squares = self.add_optimizer_variables(variables, "average_square")
        self._velocities: list[Any] = []
        if self.nesterov:
            self.add_lookahead(variables)
        elif "momentum" in self.hyperparameters:
            self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        ops = keras.ops
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = self.gradient_of(gradient, variable)
        index = self._get_variable_index(variable)
        average = self._average_squares[index]
        squares = ops.square(gradient) * self.complement_of("rho", variable)
        kept = ops.multiply(average, self.value_of("rho", variable)) + squares
        self.assign(average, kept)
        step = rate * gradient / (ops.sqrt(kept) + self.epsilon)
        if self.nesterov:
            self.lookahead_step(variable, step)
        elif self._velocities:
            velocity = self._velocities[index]
            moved = ops.multiply(velocity, self.value_of("momentum", variable)) - step
            self.assign(velocity, moved)
            self.assign_add(variable, moved)
        else:
            self.assign_sub(variable, step)

    @property
    def looks_ahead(self) -> bool:
        """Whether the model holds a point ahead of the parameters: with `nesterov`."""
        return self.nesterov

    def get_config(self) -> dict[str, Any]:
        momentum = {} if "momentum" in self.hyperparameters else {"momentum": 0.0}
        return {**super().get_config(), **momentum, "nesterov": self.nesterov, "epsilon": self.epsilon}
