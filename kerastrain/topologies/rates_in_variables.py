"""Dropout rates in variables, so that models that differ in nothing but their rates can share one compiled step."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

_ON: contextvars.ContextVar[bool] = contextvars.ContextVar("rates_in_variables", default=False)


@contextlib.contextmanager
def rates_in_variables(on: bool = True) -> Iterator[None]:
    """Within it every `dropout` of a topology, of a rate above 0, is a `RateInVariableDropout`."""
    token = _ON.set(on)
    try:
        yield
    finally:
        _ON.reset(token)


def with_rate_in_variable(layer: keras.Layer) -> keras.Layer:
    """`layer`, or what takes its place within `rates_in_variables`."""
    if not _ON.get() or type(layer) is not keras.layers.Dropout or layer.rate == 0:
        return layer
    return RateInVariableDropout.from_config(layer.get_config())


def rate_variables(layer: keras.Layer) -> list[keras.Variable]:
    """What a layer has in variables that is a number in the layer it stands for."""
    return [layer.rate_variable, layer.scale] if isinstance(layer, RateInVariableDropout) else []


class RateInVariableDropout(keras.layers.Dropout):
    """`keras.layers.Dropout` with its rate in a variable: on TensorFlow without XLA the same bits, from the same seed.

    `kerastrain.layers.VariableRateDropout` is for moving a rate in one's own training. It draws in float32 whatever the
    compute dtype, and computes `1 / (1 - rate)` in float32, which now and then is another number than Keras's: there it
    is a Python number, rounded once. So here it is a variable too, computed as Keras does.

    Args:
        rate: the fraction that is dropped, above 0 and below 1.
        seed: of the masks.
        **kwargs: what `keras.layers.Dropout` takes.

    State: `rate_variable` and `scale`, scalars of the compute dtype, not trained; the state of the random generator.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        self.rate_variable = self._scalar("rate", rate)
        self.scale = self._scalar("scale", 1 / (1 - rate))

    def build(self, input_shape: Any) -> None:
        """The variables are there already."""

    def _scalar(self, name: str, value: float) -> keras.Variable:
        return self.add_weight(
            shape=(),
            initializer=lambda shape, dtype: keras.ops.convert_to_tensor(np.asarray(value), dtype),
            dtype=self.compute_dtype,
            trainable=False,
            autocast=False,
            name=name,
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        drawn = keras.random.uniform(keras.ops.shape(inputs), dtype=inputs.dtype, seed=self.seed_generator)
        kept = drawn >= self.rate_variable
        return keras.ops.where(kept, inputs * self.scale, keras.ops.zeros_like(inputs))
