"""One of two updates of variables, chosen inside the graph."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from kerastrain._core import replicas


def _nothing() -> None:
    return None


def conditional(
    predicate: Any, then: Callable[[], None], otherwise: Callable[[], None] = _nothing, *, variables: Sequence[Any]
) -> None:
    """Run `then` where `predicate` holds, else `otherwise`; both assign to variables and return nothing.

    `keras.ops.cond` loses such assignments on JAX, where a branch must return what it changes; here each branch runs
    in a scope of its own and hands back the values of `variables`, so every variable a branch may assign must be named.
    """
    if keras.backend.backend() != "jax":
        replicas.conditional(predicate, then, otherwise)
        return

    def branch(function: Callable[[], None]) -> Callable[[], list[Any]]:
        def run() -> list[Any]:
            mapping = [(variable, variable.value) for variable in variables]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                function()
            return [scope.get_current_value(variable) for variable in variables]

        return run

    values = keras.ops.cond(predicate, branch(then), branch(otherwise))
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
