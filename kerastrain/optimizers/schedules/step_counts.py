"""Steps as tensors, counted exactly: whole steps stay integers until they become a fraction of something.

float32 holds whole numbers up to 2**24 only, so a floor or a comparison in it is wrong in longer runs. Python's
operators are used on the tensors: `keras.ops.floor_divide` and its like narrow int64 to int32 on torch.
"""

import math
from typing import Any

import keras


def as_step(step: Any) -> Any:
    """`step` as a tensor: integers as int64 (int32 on JAX, which has no other by default), floats as they are."""
    tensor = keras.ops.convert_to_tensor(step)
    return tensor if _is_float(tensor) else keras.ops.cast(tensor, _count_dtype())


def passed(step: Any, boundary: float) -> Any:
    """Whether `step > boundary`, which need not be a whole number."""
    return step > (boundary if _is_float(step) else math.floor(boundary))


def since(step: Any, begin: int) -> Any:
    """Steps since `begin`; 0 before it."""
    return _not_negative(step - begin)


def until(step: Any, end: int) -> Any:
    """Steps left until `end`; 0 after it."""
    return _not_negative(end - step)


def completed(step: Any, size: int) -> Any:
    """Whole periods of `size` steps before `step`, `floor(step / size)`, an integer."""
    whole = keras.ops.cast(keras.ops.floor(step), _count_dtype()) if _is_float(step) else step
    return whole // size


def within(step: Any, size: int) -> Any:
    """Steps since the present period of `size` steps began."""
    return step - keras.ops.cast(completed(step, size) * size, step.dtype)


def as_rate(value: Any) -> Any:
    """`value` as a tensor of Keras's float type, float32 at least: a rate's fractions need its precision."""
    return keras.ops.cast(value, rate_dtype())


def rate_dtype() -> str:
    """The float type that rates are computed in."""
    return str(keras.backend.result_type(keras.backend.floatx(), "float32"))


def _not_negative(steps: Any) -> Any:
    return steps * keras.ops.cast(steps >= 0, steps.dtype)


def _is_float(tensor: Any) -> bool:
    return bool(keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype)))


def _count_dtype() -> str:
    return "int32" if keras.backend.backend() == "jax" else "int64"
