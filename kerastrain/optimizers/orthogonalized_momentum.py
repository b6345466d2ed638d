"""Muon for the kernels of dense layers and convolutions, momentum in PyTorch's form for all else."""

import math
import re
from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core.checks import boolean, number, whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import NonNegativeFloat, PositiveFloat, PositiveInt, UnitInterval
from kerastrain.optimizers.newton_schulz import newton_schulz
from kerastrain.optimizers.tunable_optimizer import TunableOptimizer, number_or_schedule

_EXCLUDED = ("embedding",)


@keras.saving.register_keras_serializable(package="kerastrain")
class OrthogonalizedMomentum(TunableOptimizer):
    """Muon, for convolutions too: a kernel moves by its momentum made orthogonal, all else by Nesterov's momentum.

    `keras.optimizers.Muon` sends everything that has not two dimensions to AdamW, so every convolution. Here a kernel
    of any number of dimensions is a matrix, its last axis against all others; biases, scales, and what `exclude` names
    take momentum in PyTorch's form. With gradient `g`, momentum `rho`, rate `a`, from `v = 0`:

        v <- rho v + g
        u = g + rho v                     (Nesterov's; without it u = v)
        w -= a c orthogonalized(u)        kernels: `u = U S V^T` becomes about `U V^T`, by `newton_schulz`
        w -= a u                          all else

    so that every direction of a kernel moves alike, however small its share of the gradient; the length of the
    gradient does not matter to a kernel. `c` is 1, or `rms_rate * sqrt(max(inputs, outputs))`.

    Use it for convolutional and dense kernels in the middle of a network, with the head and embeddings excluded, and
    rates apart for the two kinds: `ParameterGroup(pattern, learning_rate_multiplier=...)`. Not for tables whose rows
    are separate things, such as embeddings, nor for a depthwise kernel, whose channels are.

    Args:
        learning_rate: the rate a; a float >= 0 or a schedule. Default 0.02.
        momentum: rho of orthogonalized kernels, from 0 to 1, or a schedule of it. Default 0.95; 0.6 in the record.
        other_momentum: rho of all else, likewise. Default 0.9.
        nesterov: take Nesterov's update, of both. Default True.
        steps: of the Newton-Schulz iteration; an int >= 1. Default 5; 3 in the record.
        exclude: regular expressions, searched in a variable's path: kernels not to orthogonalize. Default
            `("embedding",)`, which need not be in the model; add the head's name, which must.
        rms_rate: scales the update of a kernel, so that its root mean square is about this whatever the shape, as
            AdamW's is (0.2); a float > 0, or None (default) for no scaling.
        unit_norm: before each update a kernel is scaled so that the norm of its outputs' filters is 1 in quadratic
            mean: `w <- w sqrt(outputs) / ||w||_F`. For kernels with normalization behind them. Default False.
        weight_decay: decoupled decay, `w -= a weight_decay w` before the update, as Keras's. A float >= 0, a schedule,
            or None (default) for none.
        **kwargs: `keras.optimizers.Optimizer`'s.

    State: `velocity` of each trainable variable; the scalars `momentum`, `other_momentum` and, where given,
    `weight_decay`, in `hyperparameters`.

    Raises:
        InputError: an argument out of its range; at build, what is excluded is not in the model.

    Example:

    >>> kernel = keras.Variable([[3.0, 0.0], [0.0, 4.0]])
    >>> optimizer = OrthogonalizedMomentum(1.0, momentum=0.0, nesterov=False, steps=10)
    >>> optimizer.apply([keras.ops.convert_to_tensor([[0.5, 0.0], [0.0, 0.01]])], [kernel])
    >>> moved = [3.0 - float(kernel[0, 0]), 4.0 - float(kernel[1, 1])]
    >>> [0.6 < step < 1.3 for step in moved]
    [True, True]

    Reference: K. Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks"; J. Liu et al., 2025,
    "Muon is scalable for LLM training", arXiv:2502.16982 (`rms_rate`). Deviations: products are made in the variable's
    dtype, not in bfloat16; all else takes momentum, not AdamW, as in the CIFAR-10 speed record.
    """

    def __init__(
        self,
        learning_rate: PositiveFloat | keras.optimizers.schedules.LearningRateSchedule = 0.02,
        momentum: UnitInterval | keras.optimizers.schedules.LearningRateSchedule = 0.95,
        other_momentum: UnitInterval | keras.optimizers.schedules.LearningRateSchedule = 0.9,
        nesterov: bool = True,
        steps: PositiveInt = 5,
        exclude: Sequence[str] = _EXCLUDED,
        rms_rate: PositiveFloat | None = None,
        unit_norm: bool = False,
        weight_decay: NonNegativeFloat | keras.optimizers.schedules.LearningRateSchedule | None = None,
        **kwargs: Any,
    ) -> None:
        hyperparameters = {
            "momentum": number_or_schedule("momentum", momentum, minimum=0, maximum=1),
            "other_momentum": number_or_schedule("other_momentum", other_momentum, minimum=0, maximum=1),
        }
        given = {
            "nesterov": boolean("nesterov", nesterov),
            "steps": whole_number("steps", steps, minimum=1),
            "exclude": _patterns(exclude),
            "rms_rate": None if rms_rate is None else number("rms_rate", rms_rate, above=0),
            "unit_norm": boolean("unit_norm", unit_norm),
        }
        super().__init__(learning_rate, hyperparameters, weight_decay=weight_decay, **kwargs)
        for name, value in given.items():
            setattr(self, name, value)
        self._own_arguments = tuple(given)

    def check_paths(self, paths: Sequence[str]) -> None:
        for pattern in self.exclude:
            if pattern not in _EXCLUDED and not any(re.search(pattern, path) for path in paths):
                shown = ", ".join(paths[:6]) + (", ..." if len(paths) > 6 else "")
                raise InputError(
                    f"`exclude` must name kernels of the model. Received: {pattern!r}, which none of its paths has. "
                    f"The paths are: {shown}. A pattern is searched for anywhere in a path."
                )

    def build(self, variables: Any) -> None:
        if self.built:
            return
        if not self.wrapped:
            self.check_paths([variable.path for variable in variables])
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        # By place, since TensorFlow hands `update_step` variables of its own, which know no path.
        self._orthogonal = [
            len(variable.shape) > 1 and not any(re.search(pattern, variable.path) for pattern in self.exclude)
            for variable in variables
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = keras.ops.cast(learning_rate, variable.dtype)
        gradient = self.gradient_of(gradient, variable)
        place = self._get_variable_index(variable)
        orthogonal, velocity = self._orthogonal[place], self._velocities[place]
        momentum = self.value_of("momentum" if orthogonal else "other_momentum", variable)
        moved = keras.ops.multiply(velocity, momentum) + gradient
        self.assign(velocity, moved)
        step = moved * momentum + gradient if self.nesterov else moved
        if not orthogonal:
            self.assign_sub(variable, step * rate)
            return
        outputs = variable.shape[-1]
        inputs = math.prod(variable.shape[:-1])
        step = newton_schulz(keras.ops.reshape(step, (inputs, outputs)), self.steps)
        scale = 1.0 if self.rms_rate is None else self.rms_rate * math.sqrt(max(inputs, outputs))
        step = keras.ops.reshape(step, variable.shape) * (rate * scale)
        if not self.unit_norm:
            self.assign_sub(variable, step)
            return
        # A kernel of zeros stays one, rather than become NaN.
        norm = keras.ops.sqrt(keras.ops.sum(keras.ops.square(variable))) + 1e-7
        self.assign(variable, keras.ops.multiply(variable, math.sqrt(outputs) / norm) - step)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self._own_arguments}
        return {**super().get_config(), **own, "exclude": list(self.exclude)}


def _patterns(exclude: Any) -> tuple[str, ...]:
    if isinstance(exclude, str) or not isinstance(exclude, Sequence) or not all(isinstance(p, str) for p in exclude):
        raise InputError(
            f"`exclude` must be a list of regular expressions. Received: exclude={exclude!r}. Write ['head'] for one."
        )
    for pattern in exclude:
        try:
            re.compile(pattern)
        except re.error as error:
            raise InputError(f"`exclude` must hold regular expressions ({error}). Received: {pattern!r}.") from None
    return tuple(exclude)
