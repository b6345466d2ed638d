"""Noise that fades."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kerastrain._core.checks import Bounds, number, whole_number
from kerastrain._core.registry import NonNegativeFloat, NonNegativeInt
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class AddGradientNoise(GradientTransform):
    """Gaussian noise on every gradient, annealed over the updates.

    `g <- g + N(0, sigma_t^2)` with `sigma_t^2 = stddev^2 / (1 + t)^decay` at update t, counted from 0.

    It helps very deep or badly initialized networks out of bad regions early on. Put it after clipping, or the clip
    bound acts on the noise too. Keras's `GaussianNoise` is a layer and acts on activations.

    Args:
        stddev: the noise's standard deviation at the first update, a number >= 0, in units of the gradient. The paper
            takes variances of 0.01, 0.3 and 1.0.
        decay: how fast the variance falls, a number >= 0; 0 keeps it.
        seed: of the noise, a whole number >= 0. The generator's state is among the optimizer's variables, so it is
            saved, and a resumed training draws what an uninterrupted one draws.

    State: a scalar `stddev` among the optimizer's `hyperparameters`, and the generator's state, two integers.

    Raises:
        InputError: a number is out of its range.

    Example:

    >>> AddGradientNoise(0.1).get_config()
    {'stddev': 0.1, 'decay': 0.55, 'seed': 0}

    Reference: Neelakantan et al., 2015, Adding gradient noise improves learning for very deep networks,
    arXiv:1511.06807, equation 1, with eta = stddev^2 and gamma = decay.
    """

    bounds: ClassVar[Bounds] = {"stddev": {"minimum": 0}}

    def __init__(self, stddev: NonNegativeFloat, decay: NonNegativeFloat = 0.55, seed: NonNegativeInt = 0) -> None:
        super().__init__()
        self.stddev = number("stddev", stddev, **self.bounds["stddev"])
        self.decay = number("decay", decay, minimum=0)
        self.seed = whole_number("seed", seed, minimum=0)

    def hyperparameter_values(self) -> dict[str, float]:
        return {"stddev": self.stddev}

    def attach(self, optimizer: keras.optimizers.Optimizer) -> None:
        super().attach(optimizer)
        self._generator = keras.random.SeedGenerator(self.seed, name=self.name)
        # An optimizer tracks the variables that are set on it; only so does JAX hand the state on.
        setattr(optimizer, f"{self.name}_state_{len(optimizer.variables)}", self._generator.state)

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        step = keras.ops.cast(self.optimizer.iterations, "float32")
        stddev = self.hyperparameters["stddev"] / keras.ops.power(1.0 + step, self.decay / 2)
        return [
            gradient
            + keras.ops.cast(stddev, gradient.dtype)
            * keras.random.normal(gradient.shape, dtype=gradient.dtype, seed=self._generator)
            for gradient in gradients
        ]

    def get_config(self) -> dict[str, Any]:
        return {"stddev": self.stddev, "decay": self.decay, "seed": self.seed}
