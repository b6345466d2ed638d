"""Seeded slips of an editor and worse, in YAML text and in plain data, for the fuzz tests."""

import copy
import re

NASTY_TEXT = [
    "\0", "\t", "\x07", "\ufeff", "\u2028", "é", "日本", "😀", "!!python/object:os.system", "!x ", "&a ", "*a",
    "<<: *a", "---\n", "...\n", "%YAML 1.1\n", "? ", ": ", "- ", "[", "]", "{", "}", "'", '"', "|\n", ">\n", "@", "`",
    "#", ",", "9" * 5000, "1e999", ".nan", "-.inf", "0x", "2024-01-01", "null", "~", "true", "\r", "\\", "key: " * 200,
    "[" * 500,
]  # fmt: skip
NASTY_VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**64, -(10**30), 10**400, 0.0, -0.5, 1e308, 1e-320, float("nan"), float("inf"),
    -float("inf"), "", " ", "\0", "x" * 10_000, "é\u202e", "1", "nan", [], {}, [[]], [{}], {"type": None}, {"type": []},
    {"type": {"type": "relu"}}, {"type": "relu", 1: 2}, {"": ""}, ["relu"], [1, "2", None], {"rate": -1},
    {"a": {"b": []}}, {"type": "l2", "rate": "1"}, {"topology": "residual"}, {"units": 0}, [10**6] * 5,
    "../../etc/passwd",
    "(", "%s{0}",
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


def assert_names_file(message, source):
    """Every line of an error names the file, with its line where there is one, and stays short."""
    for line in message.splitlines():
        assert re.match(rf"{re.escape(source)}(:\d+)?: \S", line), message[:500]
        assert len(line) < 1500, line[:500]
