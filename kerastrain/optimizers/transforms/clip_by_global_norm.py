"""Clipping of all gradients together."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from kerastrain._core import tensor_lists
from kerastrain._core.checks import Bounds, number
from kerastrain._core.registry import PositiveFloat
from kerastrain.optimizers.transforms.clip_by_norm import clip_factor
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class ClipByGlobalNorm(GradientTransform):
    """All gradients together to an L2 norm of at most `max_norm`: their direction stays.

    `norm = sqrt(sum over variables of ||g||^2);  g <- g * max_norm / norm  where norm > max_norm`

    The usual choice against exploding gradients, above all of recurrent networks. One norm is taken over all parameter
    groups, frozen ones left out. Keras's `global_clipnorm` has the same formula, and one infinite element turns every
    gradient into NaN there; here it leaves the other elements 0, a step of no length, and is NaN itself. The same
    holds where the sum of squares exceeds float32 (a norm above 1.8e19). Put `SkipNonFinite` first to skip the step.

    Args:
        max_norm: the largest norm, a number > 0.

    State: a scalar, `max_norm` among the optimizer's `hyperparameters`.

    Raises:
        InputError: `max_norm` is not a finite number > 0.

    Example:

    >>> ClipByGlobalNorm(1.0).get_config()
    {'max_norm': 1.0}

    Reference: Pascanu, Mikolov and Bengio, 2013, On the difficulty of training recurrent neural networks,
    arXiv:1211.5063, algorithm 1.
    """

    by_variable: ClassVar[bool] = False
    bounds: ClassVar[Bounds] = {"max_norm": {"above": 0, "remedy": "Leave the transform out to switch clipping off."}}

    def __init__(self, max_norm: PositiveFloat) -> None:
        super().__init__()
        self.max_norm = number("max_norm", max_norm, **self.bounds["max_norm"])

    def hyperparameter_values(self) -> dict[str, float]:
        return {"max_norm": self.max_norm}

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        norm = keras.ops.sqrt(keras.ops.sum(tensor_lists.squared_norms(gradients)))
        return tensor_lists.scaled(gradients, clip_factor(norm, self.hyperparameters["max_norm"]))

    def get_config(self) -> dict[str, Any]:
        return {"max_norm": self.max_norm}
