"""The argument `layers` of the MLPs: unit counts, or mappings that override the common parts in one layer."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import keras
import pydantic
from pydantic import Field
from pydantic_core import PydanticCustomError

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.registry import PositiveInt, problem
from kerastrain.topologies.components import Activation, Dropout, Initializer, Normalization, Regularizer
from kerastrain.topologies.parts import Parts


class DenseLayer(pydantic.BaseModel):
    """One hidden layer of a recipe; a part that is not given is the common one."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    units: PositiveInt
    activation: Activation = None
    initializer: Initializer = "glorot_uniform"
    normalization: Normalization = None
    dropout: Dropout = None
    regularizer: Regularizer = None


_KEYS = tuple(DenseLayer.model_fields)


def _validated(value: Any) -> dict[str, Any]:
    """The mapping of one layer, holding the keys that were given: null switches a part off, absence keeps it."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"units": value}
    if not isinstance(value, dict):
        raise problem((), "expected a number of units or a mapping with `units`", value)
    try:
        return DenseLayer.model_validate(value).model_dump(exclude_unset=True)
    except pydantic.ValidationError as error:
        problems = [{**item, "known": _KEYS} for item in error.errors(include_url=False)]
        raise PydanticCustomError("component", "see its parts", {"problems": problems}) from None


if TYPE_CHECKING:
    DenseLayers = Sequence[int | Mapping[str, Any]]
else:
    DenseLayers = Annotated[
        list[Annotated[dict[str, Any], pydantic.PlainValidator(_validated)]],
        # A default is a tuple, which strict validation would not take for a list.
        pydantic.BeforeValidator(lambda value: list(value) if isinstance(value, tuple) else value),
        Field(validate_default=True),
    ]


def hidden_layers(layers: DenseLayers, common: Parts) -> list[keras.Layer]:
    """The Keras layers of all hidden layers, in order; `layer1_dense` is the first."""
    if isinstance(layers, str | Mapping) or not isinstance(layers, Sequence):
        raise InputError(f"`layers` must be a list of unit counts or mappings. Received: layers={layers!r}.")
    made: list[keras.Layer] = []
    for index, item in enumerate(layers):
        given = dict(item) if isinstance(item, Mapping) else {"units": item}
        unknown = sorted(set(given) - set(_KEYS))
        if unknown:
            raise InputError(f"`layers[{index}]`: unknown key `{unknown[0]}`. Known here: {', '.join(_KEYS)}.")
        units = whole_number(f"layers[{index}].units", given.pop("units", None))
        made += dataclasses.replace(common, **given).dense(units, f"layer{index + 1}")
    return made
