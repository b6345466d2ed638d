"""Functions of single values that walk over a tensor once, each way, where TensorFlow would walk many times.

TensorFlow on a CPU runs an expression such as `x * (1 + erf(x / sqrt(2))) / 2` as one kernel an operation, each reading
and writing the whole tensor, and its gradient as eight more. Compiled by XLA, which costs a tenth of a second for each
shape, either direction is one loop; the rest of the model stays as it is, since XLA's convolutions are slow on a CPU.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import keras


class OnePass:
    """`function` as it is, but on TensorFlow in one pass, and in float32 inside.

    Args:
        function: of a tensor, value by value, in `keras.ops`.
        derivative: its derivative, also of `x`.
    """

    def __init__(self, function: Callable[[Any], Any], derivative: Callable[[Any], Any]) -> None:
        self.function = function
        self.derivative = derivative

    def __call__(self, x: Any) -> Any:
        """`function(x)`, in the dtype of `x`. A symbolic tensor of Keras has no values to walk over yet."""
        there = keras.backend.backend() == "tensorflow" and not isinstance(x, keras.KerasTensor)
        if there and keras.backend.standardize_dtype(x.dtype) != "float64" and _xla_is_there():
            return self._compiled(x)
        return self.function(x)

    @functools.cached_property
    def _compiled(self) -> Callable[[Any], Any]:
        tensorflow: Any = importlib.import_module("tensorflow")

        def forward(x: Any) -> Any:
            return tensorflow.cast(self.function(tensorflow.cast(x, "float32")), x.dtype)

        def backward(x: Any, gradient: Any) -> Any:
            slope = self.derivative(tensorflow.cast(x, "float32"))
            return tensorflow.cast(slope * tensorflow.cast(gradient, "float32"), x.dtype)

        forwards, backwards = (
            tensorflow.function(one, jit_compile=True, autograph=False) for one in (forward, backward)
        )

        for one in (forwards, backwards):
            # It would be told that something is wrong, where a model has more than four activations of different shape.
            one._omit_frequent_tracing_warning = True

        def differentiable(x: Any) -> Any:
            return forwards(x), functools.partial(backwards, x)

        found: Callable[[Any], Any] = tensorflow.custom_gradient(differentiable)
        # Of a variable its value: the gradient of a function must not find variables within it.
        return lambda x: found(tensorflow.convert_to_tensor(x))


@functools.cache
def _xla_is_there() -> bool:
    """Whether this build of TensorFlow can compile for its default device."""
    tensorflow: Any = importlib.import_module("tensorflow")
    with tensorflow.init_scope():
        try:
            tensorflow.function(lambda x: x + x, jit_compile=True)(tensorflow.zeros(()))
        except (tensorflow.errors.OpError, ValueError):
            return False
    return True
