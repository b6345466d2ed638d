"""What the composed optimizer needs of `keras.optimizers.Optimizer` beyond its public API, all in one place.

`tests/core/test_keras_optimizer.py` fails when Keras changes any of it.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from kerastrain._core import replicas


def learning_rate_source(optimizer: keras.optimizers.Optimizer) -> Any:
    """The float, schedule or callable that `optimizer` takes its learning rate from."""
    source = optimizer._learning_rate
    return float(keras.ops.convert_to_numpy(source)) if isinstance(source, keras.Variable) else source


@contextlib.contextmanager
def learning_rate_from(optimizer: keras.optimizers.Optimizer, source: Any) -> Iterator[None]:
    """Within it `optimizer` takes its learning rate from a schedule in place of its number or schedule.

    The public setter gives up the variable of a number, and with it the order of the optimizer's state. A compiled step
    has its schedule in it: see `keras_training.fresh_train_function`.
    """
    attributes = vars(optimizer)
    before = attributes["_learning_rate"]
    attributes["_learning_rate"] = source
    try:
        yield
    finally:
        attributes["_learning_rate"] = before


def counter(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """What `optimizer` reads its schedule at; not `iterations`, which is less under Keras's gradient accumulation."""
    return optimizer._iterations


def weight_decay_exclusions(optimizer: keras.optimizers.Optimizer) -> list[str]:
    """What `exclude_from_weight_decay` was called with, in words; Keras drops it from the config."""
    found = []
    if getattr(optimizer, "_exclude_from_weight_decay", None):
        found.append(f"{len(optimizer._exclude_from_weight_decay)} variables")
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    if pattern is not None:
        found.append(f"names with {pattern.pattern!r}")
    return found


def overridden(optimizer: keras.optimizers.Optimizer, allowed: tuple[type, ...] = ()) -> list[str]:
    """The methods around the rule itself that the class of `optimizer` has its own of, those of `allowed` not counted;
    `update` would go past them."""
    return [
        name
        for name in ("apply", "apply_gradients", "stateless_apply", "_backend_apply_gradients")
        if getattr(type(optimizer), name)
        not in [getattr(base, name) for base in (keras.optimizers.Optimizer, *allowed)]
    ]


def follow(member: keras.optimizers.Optimizer, iterations: keras.Variable, learning_rate: Callable[[], Any]) -> None:
    """Make `member` count by `iterations` and read `learning_rate`, both owned by somebody else."""
    member._untrack_variable(member._iterations)
    member._iterations = iterations
    member.learning_rate = learning_rate


def update(
    member: keras.optimizers.Optimizer, gradients: Sequence[Any], variables: Sequence[Any], learning_rate: Any
) -> None:
    """One update of `variables` by the member's rule, decoupled weight decay first, as Keras orders it.

    `apply` would count the step once a member and look for clipping and averages that the composed optimizer owns.
    """
    member._apply_weight_decay(variables)
    member._backend_update_step(replicas.shared_out(gradients), variables, learning_rate)


def usable(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence[Any], variables: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Gradients and variables without the pairs whose gradient is None, and without those (of float8 layers) that
    Keras overwrites by their gradient."""
    gradients, variables = optimizer._filter_empty_gradients(gradients, variables)
    return optimizer._overwrite_variables_directly_with_gradients(gradients, variables)


def index_of(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """The position of `variable` in the list that `optimizer` was built with."""
    return optimizer._get_variable_index(variable)


def key_of(optimizer: keras.optimizers.Optimizer, variable: Any) -> Any:
    """What `optimizer` knows `variable` by, be it Keras's or the backend's."""
    return optimizer._var_key(variable)


def built_with(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """The trainable variables that `optimizer` was built with, in order."""
    return list(optimizer._trainable_variables)


def outside_of_a_trace() -> contextlib.AbstractContextManager[Any]:
    """Where an assignment happens now and once, also while TensorFlow traces the step that builds the optimizer."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    manager: contextlib.AbstractContextManager[Any] = importlib.import_module("tensorflow").init_scope()
    return manager


def own_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables that Keras tracks for `optimizer` itself, whatever its `variables` adds."""
    return list(optimizer._variables)


def check_known(optimizer: keras.optimizers.Optimizer, variables: Sequence[Any]) -> None:
    """Raise Keras's error for variables that `optimizer` was not built with."""
    optimizer._check_variables_are_known(variables)


def serialized_rule(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """`optimizer` as `keras.saving` serializes it, under its public name.

    On torch Keras makes `keras.optimizers.Adam` an instance of a class of the torch backend, and saves that class's
    module, which no other backend can load.
    """
    serialized = keras.saving.serialize_keras_object(optimizer)
    public = getattr(keras.optimizers, type(optimizer).__name__, None)
    if isinstance(public, type) and isinstance(optimizer, public):
        serialized["module"] = "keras.optimizers"
        serialized["registered_name"] = None
    return serialized
