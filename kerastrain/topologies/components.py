"""The exchangeable parts of a topology: five registries, their types in signatures, and what makes a part from a value.

A value is a name (`"gelu"`), a mapping with its arguments (`{"type": "leaky_relu", "negative_slope": 0.1}`), a number
where the registry has a shorthand (`dropout=0.2`), or None for no such part. Each call makes a new object.

What is registered must take `name` where it makes a layer, and is given `seed` (an int or None) where its signature has
one. An activation whose signature has `shared_axes` is given the axes that a per-channel parameter is shared over:
`[1, 2]` behind a convolution, None behind a dense layer. A recipe sets none of these three.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import keras
from pydantic import Field

from kerastrain._core.errors import InputError
from kerastrain._core.registry import Registry, component
from kerastrain.initializers import Dirac
from kerastrain.layers import DropConnect
from kerastrain.topologies.rates_in_variables import with_rate_in_variable
from kerastrain.topologies.seeds import derived_seed

ACTIVATIONS = Registry("activation")
INITIALIZERS = Registry("initializer")
NORMALIZATIONS = Registry("normalization")
DROPOUTS = Registry("dropout", scalar=("dropout", "rate"))
REGULARIZERS = Registry("regularizer", scalar=("l2", "rate"))

GIVEN = ("name", "seed", "shared_axes")

if TYPE_CHECKING:
    Activation: TypeAlias = str | Mapping[str, Any] | Callable[[Any], Any] | None
    Initializer: TypeAlias = str | Mapping[str, Any] | keras.initializers.Initializer
    Normalization: TypeAlias = str | Mapping[str, Any] | None
    Dropout: TypeAlias = str | float | Mapping[str, Any] | None
    Regularizer: TypeAlias = str | float | Mapping[str, Any] | keras.regularizers.Regularizer | None
else:
    Activation = Annotated[component(ACTIVATIONS) | None, Field(validate_default=True)]
    Initializer = Annotated[component(INITIALIZERS), Field(validate_default=True)]
    Normalization = Annotated[component(NORMALIZATIONS) | None, Field(validate_default=True)]
    Dropout = Annotated[component(DROPOUTS) | None, Field(validate_default=True)]
    Regularizer = Annotated[component(REGULARIZERS) | None, Field(validate_default=True)]


def activation(value: Activation, name: str, seed: int | None = None, *, spatial: bool = False) -> keras.Layer | None:
    """A new activation layer called `name`; None for None, which is the identity.

    Args:
        value: a name, a mapping, or a function of one tensor such as `keras.activations.gelu`.
        name: the layer's name; the layer's seed is derived from `seed` and it.
        seed: the model's seed, or None.
        spatial: whether the layer follows a convolution, so that learned slopes are one per channel.

    Raises:
        InputError: for an unknown name, a bad argument, or a layer instance.
    """
    if value is None:
        return None
    if callable(value) and not isinstance(value, keras.Layer | type):
        return keras.layers.Activation(value, name=name)
    axes = [1, 2] if spatial else None
    return _made(ACTIVATIONS, value, name=name, seed=derived_seed(seed, name), shared_axes=axes)


def pieces(value: Activation) -> int:
    """How many features the activation makes one of: `maxout` several, any other one."""
    if value is None or callable(value) or _kind(ACTIVATIONS, value) != "maxout":
        return 1
    return int(ACTIVATIONS.arguments(dict(value) if isinstance(value, Mapping) else value)[1]["pieces"])


def normalization(value: Normalization, name: str, *, channels: int) -> keras.Layer | None:
    """A new normalization layer called `name` for `channels` features on the last axis; None for None."""
    if value is None:
        return None
    layer = _made(NORMALIZATIONS, value, name=name)
    if isinstance(layer, keras.layers.GroupNormalization) and channels % layer.groups:
        raise InputError(
            f"`normalization`: `groups` must divide the {channels} features that `{name}` normalizes. "
            f"Received: groups={layer.groups}. Use a divisor of every width, or `batch`."
        )
    return layer


def dropout(value: Dropout, name: str, seed: int | None = None, *, spatial: bool = False) -> keras.Layer | None:
    """A new dropout layer called `name`; None for None. `spatial` says whether its input is a stack of feature maps."""
    if value is None or is_drop_connect(value):
        return None
    layer = with_rate_in_variable(_made(DROPOUTS, value, name=name, seed=derived_seed(seed, name)))
    expected = getattr(layer.input_spec, "ndim", None)
    if expected is not None and expected != (4 if spatial else 2):
        raise InputError(
            f"`dropout`: `{_kind(DROPOUTS, value)}` drops parts of feature maps, and the input of `{name}` has none. "
            "Use `dropout` there."
        )
    return layer


def is_drop_connect(value: Dropout) -> bool:
    """Whether the dropout drops weights of a layer, and not values behind it."""
    return value is not None and _kind(DROPOUTS, value) == "drop_connect"


def connected(value: Dropout, layer: keras.Layer, seed: int | None = None) -> keras.Layer:
    """`layer`, within a `DropConnect` where that is the dropout that is asked for."""
    if not is_drop_connect(value):
        return layer
    arguments = DROPOUTS.arguments(dict(value) if isinstance(value, Mapping) else value)[1]
    name = f"{layer.name}_drop_connect"
    return DropConnect(layer, **arguments, seed=derived_seed(seed, name), name=name)


def initializer(
    value: Initializer, name: str, seed: int | None = None, *, spatial: bool = False, hidden: bool = True
) -> keras.initializers.Initializer:
    """A new initializer for the weight `name`, seeded from `seed` and `name`.

    A Keras initializer is copied; one that was made with a seed of its own keeps it. `spatial` says whether the weight
    is the kernel of a convolution, `hidden` whether there are layers behind it: the head of a network whose
    convolutions start as the identity takes what that one has for the rest.
    """
    made = _initializer(value, name, seed)
    if not isinstance(made, Dirac) or spatial:
        return made
    if hidden or made.rest is None:
        raise InputError(f"`initializer`: `dirac` is for convolutions, and `{name}` is none. Use `orthogonal` there.")
    return made.rest


def _initializer(value: Initializer, name: str, seed: int | None) -> keras.initializers.Initializer:
    if isinstance(value, keras.initializers.Initializer):
        config = value.get_config()
        if "seed" in config and config["seed"] is None:
            config["seed"] = derived_seed(seed, name)
        return type(value).from_config(config)
    return _made(INITIALIZERS, value, seed=derived_seed(seed, name))


def regularizer(value: Regularizer, name: str, *, spatial: bool = False) -> keras.regularizers.Regularizer | None:
    """The regularizer of the weight `name`; None for None. `spatial` says whether it is a convolution kernel."""
    if value is None or isinstance(value, keras.regularizers.Regularizer):
        made = value
    else:
        made = _made(REGULARIZERS, value)
    if spatial and isinstance(made, keras.regularizers.OrthogonalRegularizer):
        raise InputError(
            f"`regularizer`: `orthogonal` takes matrices only, and `{name}` is a convolution kernel. "
            "Use `l2`, or an MLP."
        )
    return made


def _made(registry: Registry, value: Any, *, name: str | None = None, **offered: Any) -> Any:
    """What `registry` makes of `value`, given the layer's `name` and those of `offered` that its signature has."""
    if isinstance(value, keras.Layer):
        raise InputError(
            f"`{registry.kind}`: expected a name or a mapping, of which each place gets its own layer. "
            f"Received: the layer `{value.name}`, which every place would share."
        )
    value = dict(value) if isinstance(value, Mapping) else value
    kind = _kind(registry, value)
    context: dict[str, Any] = {} if name is None else {"name": name}
    if isinstance(kind, str) and kind in registry:
        parameters = inspect.signature(registry[kind].target).parameters
        context.update({key: item for key, item in offered.items() if key in parameters})
    try:
        return registry.create(value, **context)
    except InputError as error:
        raise InputError(f"`{registry.kind}`: {error}") from None


def _kind(registry: Registry, value: Any) -> Any:
    expanded = registry.expand(value)
    return expanded.get(registry.key) if isinstance(expanded, Mapping) else None
