"""Steps that a bad gradient must not take."""

from typing import Any, ClassVar

import keras

from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class SkipNonFinite(GradientTransform):
    """A step whose gradient has an infinite or NaN element leaves everything as it was, and is counted.

    Weights, slots, averages, `iterations` and what has been accumulated keep every bit. It judges the gradients as the
    loss gave them, of each batch under gradient accumulation, so it must be the first transform. Non-trainable
    weights, such as the statistics of batch normalization, have been updated in the forward pass by then and are not
    the optimizer's to restore. Under mixed_float16 Keras's `LossScaleOptimizer` skips such steps by itself, and counts
    nothing. optax calls it `apply_if_finite`.

    State: a scalar integer, the number of steps skipped.

    Example:

    >>> import keras, kerastrain
    >>> skip = SkipNonFinite()
    >>> optimizer = kerastrain.optimizers.ComposedOptimizer(keras.optimizers.SGD(0.1), [skip])
    >>> weight = keras.Variable([1.0, 2.0])
    >>> optimizer.apply([keras.ops.convert_to_tensor([float("nan"), 1.0])], [weight])
    >>> weight.numpy().tolist(), skip.read()
    ([1.0, 2.0], 1)

    Reference: Micikevicius et al., 2018, Mixed precision training, arXiv:1710.03740, section 3.2 (skip the update when
    an overflow is detected).
    """

    by_variable: ClassVar[bool] = False

    def attach(self, optimizer: keras.optimizers.Optimizer) -> None:
        super().attach(optimizer)
        self.skipped = optimizer.add_variable((), dtype="int32", name=f"{self.name}_skipped")

    def transform(self, gradients: Any, variables: Any) -> list[Any]:
        """The gradients, unchanged: the optimizer asks before it comes here."""
        return list(gradients)

    def count(self) -> None:
        """One more step was skipped."""
        self.skipped.assign_add(1)

    def read(self) -> int:
        """How many steps were skipped."""
        self.optimizer  # noqa: B018 - raises where there is none
        return int(keras.ops.convert_to_numpy(self.skipped))
