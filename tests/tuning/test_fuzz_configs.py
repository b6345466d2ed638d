"""Mutated search files: every one loads or is refused in lines that name the file; nothing else is ever raised."""

import pathlib
import random

import pytest
from mutations import assert_names_file, mutated_data, mutated_text

from kerastrain import tuning
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError

SHIPPED = sorted((pathlib.Path(__file__).parents[2] / "tuner_configs").glob("*.yaml"))


def check(path):
    try:
        tuning.load_config(path).plain()
    except InputError as error:
        assert_names_file(str(error), str(path))
        return False
    return True


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.stem)
def test_mutated_text(shipped, tmp_path):
    original = shipped.read_text(encoding="utf-8")
    path = tmp_path / "fuzzed.yaml"
    loaded = 0
    for seed in range(60):
        path.write_text(mutated_text(random.Random(f"{shipped.stem} {seed}"), original), encoding="utf-8")
        loaded += check(path)
    assert 0 < loaded < 55


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.stem)
def test_mutated_data(shipped, tmp_path):
    original = yaml_document.read(shipped).data
    path = tmp_path / "fuzzed.yaml"
    loaded = 0
    for seed in range(60):
        data = mutated_data(random.Random(f"{shipped.stem} {seed}"), original)
        try:
            path.write_text(yaml_document.dump(data), encoding="utf-8")
        except (UnicodeError, ValueError):  # What YAML cannot write is no file to read.
            continue
        loaded += check(path)
    assert loaded < 55
