"""Gradient descent with momentum, in the three forms that textbooks and libraries write."""

from typing import Any, ClassVar, Literal

import keras

from kerastrain._core.checks import boolean, choice
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeFloat, PositiveFloat, UnitInterval
from kerastrain.optimizers.tunable_optimizer import TunableOptimizer, number_or_schedule, number_schedule_or_none

FORMS = ("average", "velocity", "pytorch")


@keras.saving.register_keras_serializable(package="kerastrain")
class MomentumSGD(TunableOptimizer):
    """Gradient descent with momentum in a form to choose: a moving average, Keras's velocity, or PyTorch's.

    `keras.optimizers.SGD` is the form `velocity` and no other, with a momentum that cannot move; `torch.optim.SGD` is
    the form `pytorch`. With gradient `g`, momentum `rho` and rate `a`, from `v = 0`:

    | form       | velocity                     | update      | Nesterov's update              |
    |------------|------------------------------|-------------|--------------------------------|
    | `average`  | `v <- rho v + (1 - rho) g`   | `w -= a v`  | `w -= a (rho v + (1 - rho) g)` |
    | `velocity` | `v <- rho v - a g`           | `w += v`    | `w += rho v - a g`             |
    | `pytorch`  | `v <- rho v + g`             | `w -= a v`  | `w -= a (rho v + g)`           |

    Under a rate that stays, `velocity` and `pytorch` walk the same path, and `average` walks it with `1 / (1 - rho)`
    times the rate: under a constant gradient the step grows to `a / (1 - rho)` times it, in the form `average` to `a`
    times it. Under a rate that moves they differ: in the form `velocity` a gradient met at a high rate is carried on at
    that rate after a drop, in the other two the drop holds at once for all.

    Use `pytorch` to repeat a recipe from PyTorch, `average` to change the momentum without retuning the rate,
    `velocity` to repeat one from Keras. Not for Nesterov's parameters themselves: see `LookaheadNesterov`.

    Args:
        learning_rate: the rate a; a float >= 0 or a schedule. Default 0.01.
        momentum: rho, from 0 (plain gradient descent) to 1 (nothing is forgotten; below 1 in the form `average`), or a
            schedule of it. Default 0.9; 0.5 to 0.99 is usual.
        form: `"average"`, `"velocity"` or `"pytorch"`. Default `"velocity"`.
        nesterov: take Nesterov's update, whose variables then are the lookahead point. Default False.
        l2: coupled penalty, `g <- g + l2 w` before all else, of every variable: PyTorch's `weight_decay`, the gradient
            of `l2 / 2 ||w||^2`. A float >= 0, a schedule, or None (default) for none.
        weight_decay: decoupled decay, `w -= a weight_decay w` before the update, as Keras's. A float >= 0, a schedule,
            or None (default) for none.
        **kwargs: `keras.optimizers.Optimizer`'s.

    State: `velocity` of each trainable variable, of its shape and dtype, also at momentum 0, which may move; the
    scalars `momentum`, and `l2` and `weight_decay` where given, in `hyperparameters`.

    Raises:
        InputError: an argument out of its range, or an unknown form.

    Example:

    >>> def first_three(form):
    ...     weight, optimizer, path = keras.Variable([0.0]), MomentumSGD(1.0, momentum=0.5, form=form), []
    ...     for _ in range(3):
    ...         optimizer.apply([keras.ops.ones(1)], [weight])
    ...         path.append(float(weight[0]))
    ...     return path
    >>> first_three("velocity")
    [-1.0, -2.5, -4.25]
    >>> first_three("average")
    [-0.5, -1.25, -2.125]

    Reference: B. T. Polyak, 1964, "Some methods of speeding up the convergence of iteration methods" (the method);
    I. Sutskever et al., 2013, "On the importance of initialization and momentum in deep learning" (`velocity`, and
    Nesterov's). Deviations: Nesterov's update is written for the lookahead point, as Keras and PyTorch write it;
    PyTorch's `dampening` is left out.
    """

    elementwise: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: PositiveFloat | keras.optimizers.schedules.LearningRateSchedule = 0.01,
        momentum: UnitInterval | keras.optimizers.schedules.LearningRateSchedule = 0.9,
        form: Literal["average", "velocity", "pytorch"] = "velocity",
        nesterov: bool = False,
        l2: NonNegativeFloat | keras.optimizers.schedules.LearningRateSchedule | None = None,
        weight_decay: NonNegativeFloat | keras.optimizers.schedules.LearningRateSchedule | None = None,
        **kwargs: Any,
    ) -> None:
        form = choice("form", form, FORMS)  # type: ignore[assignment]
        momentum = number_or_schedule("momentum", momentum, minimum=0, maximum=1)
        if form == "average" and momentum == 1:
            raise InputError(
                "`momentum` must be < 1 in the form 'average', which would never move. "
                f"Received: momentum={momentum!r}."
            )
        hyperparameters = {"momentum": momentum, "l2": number_schedule_or_none("l2", l2, minimum=0)}
        nesterov = boolean("nesterov", nesterov)
        super().__init__(learning_rate, hyperparameters, weight_decay=weight_decay, **kwargs)
        self.form = form
        self.nesterov = nesterov

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = keras.ops.cast(learning_rate, variable.dtype)
        gradient = self.gradient_of(gradient, variable)
        momentum = self.value_of("momentum", variable)
        velocity = self._velocities[self._get_variable_index(variable)]
        share = gradient
        if self.form == "average":
            share = gradient * self.complement_of("momentum", variable)
        elif self.form == "velocity":
            share = -(gradient * rate)
        moved = keras.ops.multiply(velocity, momentum) + share
        self.assign(velocity, moved)
        step = moved * momentum + share if self.nesterov else moved
        self.assign_add(variable, step if self.form == "velocity" else -(step * rate))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "form": self.form, "nesterov": self.nesterov}
