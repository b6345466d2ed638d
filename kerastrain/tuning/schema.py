"""The JSON Schema of search files, for editors: completion, descriptions, and red lines under what is wrong.

`python -m kerastrain.tuning.schema > kerastrain/tuning/search.schema.json` makes the one that is shipped; a test fails
while that is not what this gives.
"""

import json
import pathlib
from typing import Any

import pydantic

from kerastrain import experiments
from kerastrain.tuning import schema_rules
from kerastrain.tuning.config import SearchConfig
from kerastrain.tuning.parameters import (
    BoolParameter,
    ChoiceParameter,
    FloatParameter,
    IntParameter,
    VariantsParameter,
)
from kerastrain.tuning.pruner_parts import PRUNERS

SHIPPED = pathlib.Path(__file__).parent / "search.schema.json"

_PARAMETERS = (FloatParameter, IntParameter, ChoiceParameter, BoolParameter, VariantsParameter)


def json_schema() -> dict[str, Any]:
    """The schema of a search file. What only a recipe can tell is told by `kerastrain search --check`."""
    schema = SearchConfig.model_json_schema()
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    _, parts = pydantic.json_schema.models_json_schema([(model, "validation") for model in _PARAMETERS])
    definitions.update(parts["$defs"])
    for model in _PARAMETERS:
        properties = definitions[model.__name__]["properties"]
        # A condition on one value may be written without a list.
        properties["when"] = schema_rules.when()
        _string(properties["repeat"], schema_rules.KEY)
        _array(properties.get("values", {}), {"uniqueItems": True})
    for model in (FloatParameter, IntParameter):
        definitions[model.__name__].update(schema_rules.ranges(listed=model is FloatParameter))
    keys = definitions["VariantsParameter"]["properties"]["values"]["additionalProperties"]
    keys["propertyNames"] = {"pattern": schema_rules.PATH}
    _string(definitions["Budget"]["properties"]["wall_clock"], schema_rules.CLOCK)
    rules = schema_rules.objective()
    definitions["Objective"]["properties"]["metric"].update(rules["properties"]["metric"])
    definitions["Objective"]["allOf"] = rules["allOf"]
    definitions["Pruner"] = {"anyOf": [{"enum": PRUNERS.names()}, *map(_pruner, PRUNERS)]}
    properties = schema["properties"]
    properties["space"]["additionalProperties"] = {"oneOf": [{"$ref": f"#/$defs/{m.__name__}"} for m in _PARAMETERS]}
    # Only a search of a `build` function, which has no file, may leave these out.
    properties["space"]["minProperties"] = 1
    properties["space"].update(schema_rules.space())
    properties["set"]["propertyNames"] = {"pattern": schema_rules.PATH}
    properties["recipe"] = {
        "type": "string",
        "minLength": 1,
        "description": "A shipped recipe, or a path from here.",
        "anyOf": [{"enum": list(experiments.shipped())}, {}],  # The names are for completion; a path may be any text.
    }
    schema["required"] = [name for name in properties if name in {*schema["required"], "recipe", "space"}]
    properties["pruner"] = {"anyOf": [{"$ref": "#/$defs/Pruner"}, {"type": "null"}], "default": None}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        **schema_rules.grid(),
        "title": "kerastrain search",
        "description": "A hyperparameter search: which keys of a recipe, by which strategy, for how long.",
    }


def _string(schema: dict[str, Any], pattern: str) -> None:
    """Let the text in a union of types keep to `pattern`."""
    for branch in schema.get("anyOf", ()):
        if branch.get("type") == "string":
            branch["pattern"] = pattern


def _array(schema: dict[str, Any], rules: dict[str, Any]) -> None:
    """Add to what is said of a list, alone or in a union of types."""
    for branch in (schema, *schema.get("anyOf", ())):
        if branch.get("type") == "array":
            branch.update(rules)


def _pruner(entry: Any) -> dict[str, Any]:
    arguments = entry.arguments.model_json_schema()
    return {
        "type": "object",
        "description": entry.description,
        "properties": {"type": {"const": entry.name}, **arguments["properties"]},
        "required": ["type", *arguments.get("required", [])],
        "additionalProperties": False,
    }


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
