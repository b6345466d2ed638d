"""Powers of a constant to a step count, exact to float32.

`keras.ops.power(0.9999, step)` is not: float32 rounds the base by up to 3e-8, and the power multiplies that error by
the count. Here each digit of the count, in base 2048, looks its power up in a table that was computed in float64.
"""

from typing import Any

import keras
import numpy as np

from kerastrain.optimizers.schedules.step_counts import rate_dtype, since

_RADIX = 2048
_DIGITS = 3
_LARGEST = _RADIX - 1
_VANISHED = 1e-46  # Half of float32's smallest number and less.


def power_tables(base: float) -> np.ndarray:
    """`base ** (digit * 2048**place)`: one row of 2048 digits a place, 3 rows, so for counts below 2**33.

    One row does where a larger count has no power but 0.
    """
    rows = 1 if base < 1 and base**_LARGEST < _VANISHED else _DIGITS
    places = float(_RADIX) ** np.arange(rows)
    with np.errstate(over="ignore", under="ignore"):
        return np.power(base, places[:, None] * np.arange(_RADIX))


def whole_power(tables: np.ndarray, count: Any) -> Any:
    """`base ** count` from the base's tables; `count` is an integer tensor >= 0."""
    with np.errstate(over="ignore", under="ignore"):
        first, *others = tables.astype(rate_dtype())
    if not others:
        return keras.ops.take(first, count - since(count, _LARGEST))
    result = keras.ops.take(first, count % _RADIX)
    for place, table in enumerate(others, 1):
        result = result * keras.ops.take(table, count // _RADIX**place % _RADIX)
    return result
