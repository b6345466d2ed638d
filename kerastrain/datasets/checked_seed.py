"""The one rule for seeds."""

from typing import Any

import numpy as np

from kerastrain._core.errors import InputError


def checked_seed(seed: Any) -> int:
    """`seed` as an int. Raises InputError unless it is an int >= 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"`seed` must be an int >= 0. Received: seed={seed!r}.")
    return int(seed)
