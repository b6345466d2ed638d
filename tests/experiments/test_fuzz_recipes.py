"""Mutated recipes: every one loads or is refused in lines that name the file; nothing else is ever raised."""

import copy
import random
import re

import pytest

from kerastrain import experiments
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError

SHIPPED = {name: path.read_text(encoding="utf-8") for name, path in experiments.shipped().items()}
NASTY_TEXT = [
    "\0", "\t", "\x07", "\ufeff", "\u2028", "é", "日本", "😀", "!!python/object:os.system", "!x ", "&a ", "*a", "<<: *a",
    "---\n", "...\n", "%YAML 1.1\n", "? ", ": ", "- ", "[", "]", "{", "}", "'", '"', "|\n", ">\n", "@", "`", "#", ",",
    "9" * 5000, "1e999", ".nan", "-.inf", "0x", "2024-01-01", "null", "~", "true", "\r", "\\", "key: " * 200, "[" * 500,
]  # fmt: skip
NASTY_VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**64, -(10**30), 10**400, 0.0, -0.5, 1e308, 1e-320, float("nan"), float("inf"),
    -float("inf"), "", " ", "\0", "x" * 10_000, "é\u202e", "1", "nan", [], {}, [[]], [{}], {"type": None}, {"type": []},
    {"type": {"type": "relu"}}, {"type": "relu", 1: 2}, {"": ""}, ["relu"], [1, "2", None], {"rate": -1}, {"a": {"b": []}},
    {"type": "l2", "rate": "1"}, {"topology": "residual"}, {"units": 0}, [10**6] * 5, "../../etc/passwd", "(", "%s{0}",
]  # fmt: skip


def mutated_text(generator, text):
    """`text` after one to three slips of an editor."""
    for _ in range(generator.randint(1, 3)):
        lines = text.split("\n")
        at = generator.randrange(len(lines))
        place = generator.randrange(len(text) + 1)
        kind = generator.randrange(9)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[at])
        elif kind == 2:
            lines[at] = " " * generator.randint(1, 5) + lines[at]
        elif kind == 3:
            lines[at] = lines[at].lstrip() if lines[at].startswith(" ") else "\t" + lines[at]
        elif kind == 4:
            lines[at], lines[-1 - at] = lines[-1 - at], lines[at]
        elif kind == 5:
            lines[at] = re.sub(r"[\w.]+(?=[,}\]]|$)", lambda match: generator.choice(NASTY_TEXT), lines[at], count=1)
        if kind <= 5:
            text = "\n".join(lines)
        elif kind == 6:
            text = text[:place] + generator.choice(NASTY_TEXT) + text[place:]
        elif kind == 7:
            text = text[:place] + text[place + generator.randint(1, 4) :]
        else:
            text = text[:place] + text[place:][::-1][:3] + text[place:]
    return text


def places(node, found=()):
    """All locations in plain data."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield (*found, key)
        yield from places(child, (*found, key))


def mutated_data(generator, data):
    """`data` with one to three values replaced, keys renamed, removed or added."""
    data = copy.deepcopy(data)
    for _ in range(generator.randint(1, 3)):
        place = generator.choice(list(places(data)) or [()])
        if not place:
            return generator.choice(NASTY_VALUES)
        parent = data
        for part in place[:-1]:
            parent = parent[part]
        key, kind = place[-1], generator.randrange(5)
        if kind <= 2 or isinstance(parent, list):
            parent[key] = copy.deepcopy(generator.choice(NASTY_VALUES))
        elif kind == 3:
            parent[generator.choice([key[:-1], key + "s", key.upper(), "", "é", key[::-1]])] = parent.pop(key)
        else:
            parent[generator.choice(["model", "type", "name", "rate", "seed"])] = copy.deepcopy(parent[key])
    return data


def check(load, source):
    """Run `load`: a recipe, or one error whose every line names the file. Returns whether it loaded."""
    try:
        recipe = load()
    except InputError as error:
        for line in str(error).splitlines():
            assert re.match(rf"{re.escape(source)}(:\d+)?: \S", line), str(error)[:500]
            assert len(line) < 1500, line[:500]
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
        loaded += check(lambda data=data: experiments.from_document(yaml_document.Document("f.yaml", data, {})), "f.yaml")
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
