"""Gradient norms that callbacks can read."""

from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core import keras_optimizer, tensor_lists
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class RecordGradientNorms(GradientTransform):
    """The norms of the gradients at this place of the list, kept in optimizer variables; the gradients stay.

    `||g_i||` for each variable, and `sqrt(sum_i ||g_i||^2)` of all: to see gradients vanish or explode in a compiled
    `fit`, before clipping when it is first in the list, after it when it is last. Keras's TensorBoard callback has no
    gradients. Under `SkipNonFinite` a skipped step leaves the values as they were.

    State: `(variables,)` the norms of the last update, and two scalars, the global norm of the last update and the
    largest one since `reset`. On JAX a callback finds them up to date once it has touched its `self.model`, which
    fetches the state of the training.

    Example, what a callback would do at the end of an epoch:

    >>> import keras, kerastrain, numpy as np
    >>> norms = RecordGradientNorms()
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    >>> model.compile(kerastrain.optimizers.ComposedOptimizer(keras.optimizers.SGD(0.1), [norms]), loss="mse")
    >>> history = model.fit(np.ones((1, 1)), np.zeros((1, 1)), verbose=0)
    >>> norms.read()["global_norm"]
    2.0

    Reference: Pascanu, Mikolov and Bengio, 2013, On the difficulty of training recurrent neural networks,
    arXiv:1211.5063, section 3 (watching the norm to choose the clip bound).
    """

    def attach(self, optimizer: keras.optimizers.Optimizer) -> None:
        super().attach(optimizer)
        # Here and not in `build`, which TensorFlow comes to in the first step: a callback resets at the epoch's start.
        self._global = optimizer.add_variable((), name=f"{self.name}_global_norm")
        self._largest = optimizer.add_variable((), name=f"{self.name}_largest_global_norm")
        self._norms: Any = None
        self._places: dict[int, str] = {}

    def build(self, variables: Sequence[keras.Variable]) -> None:
        self._norms = self.optimizer.add_variable((len(variables),), name=f"{self.name}_norms")
        # Of a group the optimizer's variables are more than these.
        self._places = {
            keras_optimizer.index_of(self.optimizer, variable): getattr(variable, "path", variable.name)
            for variable in variables
        }

    def transform(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        squares = tensor_lists.squared_norms(gradients)
        norms = keras.ops.sqrt(squares)
        if len(gradients) < len(self._places):  # Some have no gradient, or are frozen: their norm is 0.
            order = {index: place for place, index in enumerate(self._places)}
            places = [[order[keras_optimizer.index_of(self.optimizer, variable)]] for variable in variables]
            norms = keras.ops.scatter(keras.ops.convert_to_tensor(places), norms, (len(self._places),))
        overall = keras.ops.sqrt(keras.ops.sum(squares))
        self._norms.assign(norms)
        self._global.assign(overall)
        self._largest.assign(keras.ops.maximum(self._largest, overall))  # of a number and NaN: NaN
        return list(gradients)

    @property
    def global_norm(self) -> keras.Variable:
        """The variable that holds the global norm of the last update."""
        self.optimizer  # noqa: B018 - raises where there is none
        return self._global

    def read(self) -> dict[str, Any]:
        """`global_norm`, `largest_global_norm`, and `norms`, a mapping from each variable's path to its norm; before
        the first update zeros and no paths."""
        self.optimizer  # noqa: B018 - raises where there is none
        values = [] if self._norms is None else keras.ops.convert_to_numpy(self._norms)
        return {
            "global_norm": float(keras.ops.convert_to_numpy(self._global)),
            "largest_global_norm": float(keras.ops.convert_to_numpy(self._largest)),
            "norms": {path: float(value) for path, value in zip(self._places.values(), values, strict=True)},
        }

    def reset(self) -> None:
        """Begin anew with the largest global norm, at the start of an epoch for example."""
        self._largest.assign(0.0)
