"""Mutated recipes: every one loads or is refused in lines that name the file; nothing else is ever raised."""

import copy
import random

import pytest
from mutations import NASTY_VALUES, assert_names_file, mutated_data, mutated_text

from kerastrain import experiments
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError

SHIPPED = {name: path.read_text(encoding="utf-8") for name, path in experiments.shipped().items()}


def check(load, source):
    """Run `load`: a recipe, or one error whose every line names the file. Returns whether it loaded."""
    try:
        recipe = load()
    except InputError as error:
        assert_names_file(str(error), source)
        return False
    assert experiments.from_document(yaml_document.parse(recipe.to_yaml(), "again")) == recipe
    return True


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_mutated_text(name, tmp_path):
    path = tmp_path / "fuzzed.yaml"
    loaded = 0
    for seed in range(30):
        text = mutated_text(random.Random(f"{name} {seed}"), SHIPPED[name])
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        loaded += check(lambda: experiments.load(path), str(path))
    assert loaded < 25


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_mutated_data(name):
    original = yaml_document.parse(SHIPPED[name], "shipped").data
    resolved = experiments.load(name).plain()
    loaded = 0
    for seed in range(30):
        data = mutated_data(random.Random(f"{name} {seed}"), original if seed % 2 else resolved)
        loaded += check(
            lambda data=data: experiments.from_document(yaml_document.Document("f.yaml", data, {})), "f.yaml"
        )
    assert loaded < 25


def test_mutated_overrides():
    original = yaml_document.parse(SHIPPED["residual"], "shipped")
    paths = ["model", "model.depth", "optimizer.rule", "optimizer.rule.momentum", "optimizer.learning_rate.initial"]
    paths += ["data.augment", "data.augment.flip", "training", "callbacks", "callbacks[0]", "callbacks[0].monitor"]
    paths += ["optimizer.groups[0].pattern", "model.layers[3].units", "schema", "name.x", "a.b[2].c", "data[0]", "x[0]"]
    generator = random.Random(0)
    for _ in range(100):
        overrides = {path: generator.choice(NASTY_VALUES) for path in generator.sample(paths, 2)}
        try:
            experiments.from_document(original, copy.deepcopy(overrides))
        except InputError as error:
            assert str(error)


@pytest.mark.parametrize("seed", range(10))
def test_damaged_bytes(seed, tmp_path):
    generator = random.Random(seed)
    raw = bytearray(SHIPPED["residual"].encode())
    for _ in range(generator.randint(1, 20)):
        raw[generator.randrange(len(raw))] = generator.randrange(256)
    path = tmp_path / "fuzzed.yaml"
    path.write_bytes(bytes(raw[: generator.randrange(len(raw))] if seed % 2 else raw))
    check(lambda: experiments.load(path), str(path))
