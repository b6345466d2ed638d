"""The search files of docs/searches.md are valid, and its names are those that there are."""

import pathlib
import re

import pytest
from readme_code import blocks

from kerastrain import tuning
from kerastrain._core import yaml_document
from kerastrain.tuning.config import as_config
from kerastrain.tuning.planning import plan

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "searches.md").read_text(encoding="utf-8")
WHOLE, *PARTS = (yaml_document.parse(block, "searches.md").data for block in blocks(PAGE, "yaml"))


@pytest.mark.parametrize("part", [{}, *PARTS], ids=lambda part: "-".join(part) or "whole")
def test_search_files_of_the_page(part):
    made = plan(as_config({**WHOLE, "pruner": None, **part} if part else WHOLE))
    # A grid of the page is as large as it says.
    assert len(made.trials) == part.get("search", WHOLE["search"])["max_trials"]


def test_the_table_of_pruners_has_all_of_them_with_their_defaults():
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE, flags=re.MULTILINE))
    assert {entry.name for entry in tuning.PRUNERS} == rows.keys()
    for entry in tuning.PRUNERS:
        named = yaml_document.parse("{" + ", ".join(re.findall(r"`(\w+: [^`]+)`", rows[entry.name])) + "}", "row").data
        if entry.name == "percentile":
            named = {**named, **yaml_document.parse("{startup_trials: 5, warmup_epochs: 0}", "median").data}
            named |= {"interval_epochs": 1, "min_trials": 1}
        fields = {
            name: field.default for name, field in entry.arguments.model_fields.items() if not field.is_required()
        }
        assert named == fields, entry.name
