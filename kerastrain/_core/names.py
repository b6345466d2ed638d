"""Class names as recipes and files spell them, and names that are not taken."""

import re
from collections.abc import Container
from typing import Any


def snake_case(name: str) -> str:
    """`ClipByGlobalNorm` -> `clip_by_global_norm`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def free_name(name: str, taken: Container[str]) -> str:
    """`name`, or the first of `name_2`, `name_3`, ... that is not taken."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def call_of(thing: Any) -> str:
    """`ClipByNorm(max_norm=1.0)`: the call that makes `thing` again, by the names of its config; for `__repr__`."""
    arguments = {name: getattr(thing, name, value) for name, value in thing.get_config().items()}
    if arguments.get("name") == type(thing).__name__:
        del arguments["name"]
    return f"{type(thing).__name__}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def unnumbered(name: str) -> str:
    """A path or name without the numbers by which Keras tells things of one type apart, in the order they are made.

    Two models of one process that are made alike differ in them only.

    Example:

    >>> unnumbered("dense_12/kernel"), unnumbered("model_1_dense_12_kernel"), unnumbered("block1_conv")
    ('dense/kernel', 'model_dense_kernel', 'block1_conv')
    """
    return re.sub(r"_\d+(?=[_/.:#]|$)", "", name)
