"""One seed for a model, and from it one for each random thing in it."""

import hashlib


def derived_seed(seed: int | None, *names: str) -> int | None:
    """The seed of the part `names` of whatever `seed` belongs to; None (each time another) stays None.

    The first 31 bits of SHA-256 over `seed/name/...`: the same on every machine, and a part keeps its seed when others
    come or go.

    Example:

    >>> derived_seed(0, "head", "kernel") == derived_seed(0, "head", "kernel") != derived_seed(1, "head", "kernel")
    True
    """
    if seed is None:
        return None
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
