"""The JSON Schema that is shipped for editors."""

import json
import pathlib

import pytest

from kerastrain._core import yaml_document
from kerastrain.tuning.schema import SHIPPED, json_schema

TUNER_CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "tuner_configs").glob("*.yaml"))


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
  g: {type: variants, values: {one: {}, two: {b: 1}}}
""",
    "whole.yaml",
).data


def test_it_takes_every_kind_of_part():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(WHOLE, json_schema())
    jsonschema.validate({**WHOLE, "pruner": "median"}, json_schema())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pruner", {"type": "medain"}),
        ("pruner", {"type": "median", "percentile": 1}),
        ("repeats", 0),
        ("reapeats", 2),
        ("search", {"strategy": "random"}),
        ("space", {"a": {"type": "float", "minimum": 1}}),
        ("space", {"a": {"type": "real"}}),
        ("space", {}),
    ],
)
def test_it_marks_what_is_wrong(key, value):
    jsonschema = pytest.importorskip("jsonschema")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**WHOLE, key: value}, json_schema())
