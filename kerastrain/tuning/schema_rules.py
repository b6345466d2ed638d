"""What a search file must keep to beside the types of its values, as JSON Schema: nothing that the validator takes is
refused by it."""

from typing import Any

from kerastrain import experiments
from kerastrain.tuning.objective import DIRECTIONS

Schema = dict[str, Any]

# 90s, 30m, 1h30m; of zeros alone there is no time.
_NUMBER = r"[0-9]+(\.[0-9]+)?"
CLOCK = rf"^(?=.*[1-9])({_NUMBER}h)?({_NUMBER}m)?({_NUMBER}s)?$"

_PART = r"[A-Za-z_][A-Za-z0-9_]*"
PATH = rf"^{_PART}(\[[0-9]+\])*(\.{_PART}(\[[0-9]+\])*)*$"
KEY = rf"^{_PART}(\[([0-9]+|i)\])*(\.{_PART}(\[([0-9]+|i)\])*)*$"
_INDEXED, _NOT_INDEXED = r"\[i\]", r"^(?!.*\[i\])"


def objective() -> Schema:
    """The metrics of recipes, each with the mode in which it is better."""
    ways = {mode: [name for name, way in DIRECTIONS.items() if way == mode] for mode in ("min", "max")}
    return {
        "properties": {"metric": {"enum": list(DIRECTIONS)}},
        "allOf": [
            {"if": {"properties": {"metric": {"enum": names}}}, "then": {"properties": {"mode": {"const": mode}}}}
            for mode, names in ways.items()
        ],
    }


def when() -> Schema:
    """Keys of the space, each with a value or a list of one at least."""
    return {
        "type": "object",
        "description": "key -> value or values on which this parameter is there",
        "propertyNames": {"pattern": KEY},
        "additionalProperties": {"if": {"type": "array"}, "then": {"minItems": 1}},
    }


def ranges(*, listed: bool) -> Schema:
    """Ends, steps and scales that go together. `listed`: `values` may stand in place of a range."""
    rules: list[Schema] = [
        {"not": {"properties": {"step": {"type": "number"}, "num": {"type": "number"}}, "required": ["step", "num"]}},
        {
            "if": {"properties": {"scale": {"const": "log"}}, "required": ["scale"]},
            "then": {"properties": {"min": {"exclusiveMinimum": 0}}},
        },
    ]
    if listed:
        ends = {"properties": {"min": {"type": "number"}, "max": {"type": "number"}}, "required": ["min", "max"]}
        nothing_else = {"properties": dict.fromkeys(("min", "max", "step", "num", "scale"), False)}
        rules.append({"if": _there("values", "array"), "then": nothing_else, "else": ends})
    return {"allOf": rules}


def space() -> Schema:
    """What the key of a parameter says of it."""
    alone = {"properties": {"type": {"not": {"const": "variants"}}}}
    keys = "|".join(experiments.Recipe.model_json_schema()["properties"])
    rules = {
        _INDEXED: {"required": ["repeat"], "properties": {"repeat": {"type": ["integer", "string"]}}},
        _NOT_INDEXED: {"properties": {"repeat": {"type": "null"}}},
        # Variants have a name of their own, that is no key of the recipe.
        r"\.": alone,
        rf"^({keys})$": alone,
    }
    # In a schema of their own: what matches them here would not be looked at by `additionalProperties`.
    return {"propertyNames": {"pattern": KEY}, "allOf": [{"patternProperties": rules}]}


def grid() -> Schema:
    """The points of each range, which a grid needs."""
    pointed = {"anyOf": [_there("step", "number"), _there("num", "number")]}
    without = {
        "anyOf": [
            {"properties": {"type": {"const": "float"}}, "not": _there("values", "array")},
            {"properties": {"type": {"const": "int"}, "scale": {"const": "log"}}, "required": ["scale"]},
        ],
        "required": ["type"],
    }
    strategy = {"properties": {"strategy": {"const": "grid"}}, "required": ["strategy"]}
    return {
        "if": {"properties": {"search": strategy}, "required": ["search"]},
        "then": {"properties": {"space": {"additionalProperties": {"if": without, "then": pointed}}}},
    }


def _there(name: str, kind: str) -> Schema:
    return {"properties": {name: {"type": kind}}, "required": [name]}
