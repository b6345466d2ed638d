"""The JSON Schema that is shipped for editors."""

import functools
import json
import pathlib
import random

import pydantic
import pytest
from fuzz import slip

from kerastrain import tuning
from kerastrain._core import yaml_document
from kerastrain.tuning.schema import SHIPPED, json_schema

json_schema_once = functools.cache(json_schema)
TUNER_CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "tuner_configs").glob("*.yaml"))
SHIPPED_SEARCHES = [yaml_document.read(path).data for path in TUNER_CONFIGS]


def test_the_shipped_schema_is_what_the_models_give():
    assert json.loads(SHIPPED.read_text(encoding="utf-8")) == json_schema(), (
        "stale: python -m kerastrain.tuning.schema > kerastrain/tuning/search.schema.json"
    )


@pytest.mark.parametrize("path", TUNER_CONFIGS, ids=lambda path: path.stem)
def test_shipped_searches_name_it_and_conform(path):
    jsonschema = pytest.importorskip("jsonschema")
    first = path.read_text(encoding="utf-8").splitlines()[0]
    key, _, target = first.partition("$schema=")
    assert key == "# yaml-language-server: " and (path.parent / target).resolve() == SHIPPED.resolve()
    jsonschema.validate(yaml_document.read(path).data, json_schema())


WHOLE = yaml_document.parse(
    """
schema: 1
name: whole
recipe: mlp_sequential
objective: {metric: val_loss, mode: min}
search: {strategy: random, max_trials: 4, seed: 0}
repeats: 2
budget: {epochs: 3, wall_clock: 10m, total_epochs: 100}
pruner: {type: percentile, percentile: 25.0}
space:
  a: {type: float, min: 1.0e-3, max: 0.1, scale: log}
  b: {type: int, min: 1, max: 3}
  c: {type: choice, values: [null, 1, text, {type: l2}], when: {b: 2}}
  d: {type: bool, when: {b: [1, 2], c: null}}
  e[i].f: {type: choice, values: [1], repeat: b}
  g: {type: variants, values: {one: {}, two: {h: 1}}}
""",
    "whole.yaml",
).data


def test_it_takes_every_kind_of_part():
    jsonschema = pytest.importorskip("jsonschema")
    assert not refused(WHOLE)
    jsonschema.validate(WHOLE, json_schema())
    jsonschema.validate({**WHOLE, "pruner": "median"}, json_schema())


RATE = {"type": "float", "min": 1e-3, "max": 0.1}
GRID = {"strategy": "grid", "max_trials": 9}

# What is slipped into WHOLE: dotted place -> value.
SLIPS = [
    {"pruner": {"type": "medain"}},
    {"pruner": {"type": "median", "percentile": 1}},
    {"repeats": 0},
    {"reapeats": 2},
    {"name": "a/b"},
    {"schema": 2},
    {"recipe": ""},
    {"search": {"strategy": "random"}},
    {"search": {"strategy": "rndom", "max_trials": 3}},
    {"search": {"strategy": "random", "max_trials": 0}},
    {"search": {"strategy": "random", "max_trials": 3, "seed": 2**32}},
    {"objective": {"metric": "val_acuracy", "mode": "max"}},
    {"objective": {"metric": "loss", "mode": "min"}},
    {"objective": {"metric": "val_loss", "mode": "max"}},
    {"objective": {"metric": "val_f1_score", "mode": "min"}},
    *(
        {"budget": {"wall_clock": text}}
        for text in ("6 hours", "10", "m10", "10min", "10m1h", "0s", "", "1.h", "-5m", 0)
    ),
    {"set": {"model..layers": [1]}},
    {"set": {"model.layers[i].units": 1}},
    {"space": {}},
    *({"space": {key: RATE}} for key in ("optimizer..x", "optimizer.x-y", "2a", "a.[0]", "a[i]", "a[0", "")),
    *(
        {"space": {"a": parameter}}
        for parameter in (
            {"type": "float", "minimum": 1},
            {"type": "real"},
            {"min": 0, "max": 1},
            {"type": "float", "min": 1},
            {"type": "float", "min": None, "max": 1},
            {"type": "float", "values": [1, 2], "min": 0},
            {"type": "float", "values": [1, 2], "scale": "log"},
            {"type": "float", "values": [1, 1]},
            {"type": "float", "values": []},
            {"type": "float", "min": 0, "max": 1, "scale": "log"},
            {"type": "float", "min": 0, "max": 1, "scale": "lg"},
            {"type": "float", "min": 0, "max": 1, "step": 0.5, "num": 3},
            {"type": "float", "min": 0, "max": 1, "num": 1},
            {"type": "float", "min": 0, "max": "big"},
            {"type": "int", "min": 1.5, "max": 8},
            {"type": "int", "min": 1},
            {"type": "int", "min": 0, "max": 8, "scale": "log"},
            {"type": "choice", "values": []},
            {"type": "choice", "values": ["a", "b", "a"]},
            {"type": "choice"},
            {"type": "bool", "values": [True]},
            {**RATE, "repeat": 2},
            {**RATE, "when": {"b": []}},
            {**RATE, "when": {"b..c": 1}},
            {**RATE, "when": ["b"]},
            {"type": "variants", "values": {}},
            {"type": "variants", "values": {"one": {"model..x": 1}}},
            {"type": "variants", "values": {"one": 1}},
        )
    ),
    {"space": {"model.x": {"type": "variants", "values": {"one": {}}}}},
    {"space": {"model": {"type": "variants", "values": {"one": {}}}}},
    {"space": {"a[i]": {**RATE, "repeat": 0}}},
    {"space": {"a[i]": {**RATE, "repeat": "b c"}}},
    {"search": {"strategy": "grid", "max_trials": 9}, "space": {"a": RATE}},
    {
        "search": {"strategy": "grid", "max_trials": 9},
        "space": {"a": {"type": "int", "min": 1, "max": 9, "scale": "log"}},
    },
]


def refused(data):
    """Whether the validator refuses it; a search without recipe or space is one of a function, which has no file."""
    try:
        config = tuning.SearchConfig.model_validate(data)
    except pydantic.ValidationError:
        return True
    return not (config.recipe and config.space)


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: json.dumps(slip)[:60])
def test_it_marks_what_the_validator_refuses(slip):
    jsonschema = pytest.importorskip("jsonschema")
    data = {**WHOLE, **slip}
    assert refused(data)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, json_schema_once())


@pytest.mark.parametrize(
    "part",
    [
        *({"budget": {"wall_clock": text}} for text in ("90s", "10m", "1h30m", "0.5h", "1h0m5s", 90, 0.5, None)),
        {"set": {"data.train_limit": 100, "model.layers[0].units": 3}},
        {"recipe": "somewhere/my recipe"},
        {"search": GRID, "space": {"a": {**RATE, "num": 3}, "b": {"type": "bool"}}},
        {"search": GRID, "space": {"a": {"type": "int", "min": 1, "max": 3}}},
        {"space": {"a": {"type": "float", "values": [1, 2, 0.5]}, "b": {**RATE, "values": None, "num": None}}},
        {"space": {"a": {"type": "choice", "values": [1, True, "1", None, [1], {"type": "l2"}]}}},
        {"space": {"a": {"type": "bool"}, "b[i].c[0]": {**RATE, "repeat": 3, "when": {"a": True}, "scale": "log"}}},
    ],
    ids=lambda part: json.dumps(part)[:60],
)
def test_it_takes_what_the_validator_takes(part):
    jsonschema = pytest.importorskip("jsonschema")
    data = {**WHOLE, **part}
    assert not refused(data)
    jsonschema.validate(data, json_schema_once())


def test_nothing_that_the_validator_takes_is_marked():
    jsonschema = pytest.importorskip("jsonschema")
    generator, checker = random.Random(0), jsonschema.Draft202012Validator(json_schema_once())
    taken = 0
    for _ in range(300):
        data = slip(generator, generator.choice([WHOLE, *SHIPPED_SEARCHES]))
        if not refused(data):
            taken += 1
            assert not list(checker.iter_errors(data)), data
    assert taken > 50
