"""The base of the rules that take the gradient ahead of the parameters, where the velocity would carry them."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._core.errors import InputError
from kerastrain._core.keras_optimizer import built_with
from kerastrain.optimizers.tunable_optimizer import TunableOptimizer


class LookaheadOptimizer(TunableOptimizer):
    """Base of Nesterov's rules: the model's variables hold the lookahead point p, `theta()` tells the parameters.

        v     <- momentum * v - step(p)
        theta <- theta + v
        p     <- theta + momentum * v

    The forward pass has to take the gradient at p, so p is what the model holds. The momentum may move: each variable
    keeps the momentum that its p was made with, so that the parameters can be told, and so that the velocity's share of
    p is exchanged rather than added to when the next p is made with another momentum.

    A rule calls `add_lookahead` in `build` and `lookahead_step` in `update_step`, and has a hyperparameter `momentum`.

    State: for each trainable variable, `velocity` of its shape and dtype, and the scalar float32 `lookahead_momentum`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lookahead_velocities: list[Any] = []
        self._lookahead_momentums: list[Any] = []

    def add_lookahead(self, variables: Sequence[Any]) -> None:
        """Make the state; for `build`."""
        self._lookahead_velocities = self.add_optimizer_variables(variables, "velocity")
        self._lookahead_momentums = [
            None if velocity is None else self.add_variable((), dtype="float32", name=f"lookahead_momentum_{index}")
            for index, velocity in enumerate(self._lookahead_velocities)
        ]

    def lookahead_step(self, variable: Any, step: Any) -> None:
        """Move `variable` from one lookahead point to the next; `step` is the rate times the direction found at it."""
        index = self._get_variable_index(variable)
        velocity, last = self._lookahead_velocities[index], self._lookahead_momentums[index]
        momentum = self.value_of("momentum", variable)
        # p' = theta' + momentum v' with theta' = p - last v + v' and v' = momentum v - step. Added up in this order, it
        # is Keras's SGD(nesterov=True) to the last bit while the momentum stays.
        exchanged = keras.ops.multiply(velocity, momentum - keras.ops.cast(last, variable.dtype))
        moved = keras.ops.multiply(velocity, momentum) - step
        self.assign(velocity, moved)
        self.assign_add(variable, moved * momentum - step + exchanged)
        # A copy: on JAX two variables that share a buffer cannot be donated.
        self.assign(last, keras.ops.copy(self.hyperparameters["momentum"]))

    @property
    def looks_ahead(self) -> bool:
        """Whether the model holds a point ahead of the parameters."""
        return True

    def theta(self) -> list[np.ndarray]:
        """The parameters theta = p - momentum * v as NumPy arrays, one a trainable variable, in the order of `build`.

        Evaluate and save the model with them; go on training with what the model holds. Where the rule looks nowhere
        ahead they are the variables' own values. They are wrong after something other than the optimizer has set the
        variables, such as Keras's `use_ema` at the end of a fit.

        Raises:
            InputError: the optimizer is not built, so knows no variables.
        """
        if not self.built:
            raise InputError(
                "`theta` needs an optimizer that has been built. Train with it, or call "
                "`optimizer.build(model.trainable_variables)`, first."
            )
        values = [np.array(keras.ops.convert_to_numpy(variable)) for variable in built_with(self)]
        ahead = zip(self._lookahead_velocities, self._lookahead_momentums, strict=True)
        for index, (velocity, momentum) in enumerate(ahead):
            if velocity is not None:
                rho = keras.ops.convert_to_numpy(momentum).astype(values[index].dtype)
                values[index] -= rho * keras.ops.convert_to_numpy(velocity)
        return values
