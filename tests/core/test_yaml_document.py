import random
import string

import pytest

from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError


def refused(text):
    with pytest.raises(InputError) as caught:
        yaml_document.parse(text, "file.yaml")
    message = str(caught.value)
    assert message.startswith("file.yaml") and "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1.0e-4", 1e-4),
        ("-1E3", -1000.0),
        ("1e+3", 1000.0),
        (".5", 0.5),
        ("1", 1),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("1e5x", "1e5x"),
        ("e5", "e5"),
        ("'1e-5'", "1e-5"),
        ("[1, 2.5, a]", [1, 2.5, "a"]),
        ("{type: adam, beta_1: 0.9}", {"type": "adam", "beta_1": 0.9}),
    ],
)
def test_scalars_are_yaml_1_2(text, value):
    found = yaml_document.parse(text, "x").data
    assert found == value
    assert type(found) is type(value)


def test_infinities_and_not_a_number():
    data = yaml_document.parse("[.inf, -.inf, .nan]", "x").data
    assert data[0] == float("inf") and data[1] == -float("inf") and data[2] != data[2]


def test_duplicate_keys_name_the_second_line():
    assert refused("a: 1\nb: 2\na: 3\n") == "file.yaml:3: the key `a` is given twice."
    assert "file.yaml:2" in refused("x:\n  {b: 1, b: 2}\n")


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [ls]",
        "!!python/name:os.system",
        "!own {a: 1}",
        "!!binary aGVsbG8=",
        "!!set {a}",
    ],
)
def test_tags_are_refused(text):
    assert "the YAML tag" in refused(f"a:\n  {text}\n")


def test_a_merge_that_overrides_nothing_else_is_read():
    text = "base: &base {a: 1, b: 2}\nother: {<<: *base, c: 3}\n"
    assert yaml_document.parse(text, "x").data["other"] == {"a": 1, "b": 2, "c": 3}


def test_alias_bomb_is_refused_before_it_is_expanded():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "aliases" in refused("\n".join(rows))


def test_an_alias_to_itself_is_refused():
    refused("a: &a [*a]")
    refused("a: &a {b: *a}")


@pytest.mark.parametrize("depth", [51, 400, 5000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_deep_nesting_is_refused(depth, opening, closing):
    assert "nested deeper" in refused("a: " + opening * depth + closing * depth)


def test_deep_block_nesting_is_refused():
    refused("\n".join(" " * i + "a:" for i in range(300)))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2", 1),
        ("a: 1\n b: 2\n", 2),
        ("a:\n\t- b\n", 2),
        ("a: *nowhere\n", 1),
        ("a: 1\n--- \nb: 2\n", 2),
        ("a: \x00\n", 1),
        ("? [1, 2]\n: b\n", 1),
        ("{a: 1}: b\n", 1),
        ("a: 'b\n", None),
        ("a: @b\n", 1),
        ("%YAML 9.9\n---\na: 1\n", None),
        ("<<: 3\n", 1),
        ("a: 1\nb: !!int x\n", None),
        ("a: !!float y\n", None),
        ("a: " + "9" * 5000 + "\n", None),
        ("a: 1\nname: 2024-01-01\n", 2),
        ("a: 1\n3: b\n", 2),
        ("a: 1\nnull: b\n", 2),
        ("a: 1\ntrue: b\n", 2),
        ("a: 1\nb: \x07\n", 2),
    ],
)
def test_broken_yaml_is_one_line_with_its_place(text, line):
    message = refused(text)
    if line is not None:
        assert message.startswith(f"file.yaml:{line}:"), message


def test_lines_of_keys_items_and_their_nearest_place():
    document = yaml_document.parse("a: 1\nb:\n  c: 2\n  d:\n    - x\n    - {e: 3}\n", "file.yaml")
    expected = {(): 1, ("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "d"): 4, ("b", "d", 0): 5, ("b", "d", 1, "e"): 6}
    assert {place: document.line(place) for place in expected} == expected
    assert document.line(("b", "c", "below", 0)) == 3
    assert document.where(("b", "d", 7)) == "file.yaml:4"


def test_read_errors(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        yaml_document.read(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        yaml_document.read(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: café".encode("latin-1"))
    with pytest.raises(InputError, match=r"expected UTF-8 text.*at byte 9"):
        yaml_document.read(latin)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (yaml_document.MAX_BYTES + 1))
    with pytest.raises(InputError, match="at most 1000000 bytes"):
        yaml_document.read(large)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a\r\nb: 2\r\n")
    assert yaml_document.read(path).data == {"name": "a", "b": 2}


def drawn(generator, depth=0):
    """A random value of the kinds that a recipe holds."""
    kind = generator.randrange(9 if depth < 4 else 7)
    if kind == 0:
        return None
    if kind == 1:
        return generator.random() < 0.5
    if kind == 2:
        return generator.randint(-(10**6), 10**6)
    if kind == 3:
        return generator.uniform(-1, 1) * 10.0 ** generator.randint(-12, 12)
    if kind == 4:
        return generator.choice(
            ["true", "null", "1e-5", "0.1", "1", "", " ", "a: b", "# x", "- y", "~", "<<", "é", "*a"]
        )
    if kind in (5, 6):
        return "".join(generator.choice(string.printable) for _ in range(generator.randrange(12)))
    size = generator.randrange(4)
    if kind == 7:
        return [drawn(generator, depth + 1) for _ in range(size)]
    return {f"key_{index}": drawn(generator, depth + 1) for index in range(size)}


@pytest.mark.parametrize("seed", range(60))
def test_dump_and_parse_are_inverse(seed):
    data = {"value": drawn(random.Random(seed))}
    assert yaml_document.parse(yaml_document.dump(data), "x").data == data


def test_dump_keeps_the_order_of_keys():
    text = yaml_document.dump({"b": 1, "a": {"d": [1, "x"], "c": {"f": 2, "e": 3}}})
    assert [text.index(key) for key in "badcfe"] == sorted(text.index(key) for key in "badcfe")
