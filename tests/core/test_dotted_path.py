import copy

import pytest

from kerastrain._core import dotted_path
from kerastrain._core.errors import InputError


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("model.layers[0].units", ("model", "layers", 0, "units")),
        ("a[1][22]", ("a", 1, 22)),
        ("_x1.Y_2[3]", ("_x1", "Y_2", 3)),
    ],
)
def test_parse_and_render_are_inverse(text, location):
    assert dotted_path.parse(text) == location
    assert dotted_path.render(location) == text


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[", "a[-1]", "a[x]", "a[]", "[0]", "a b", "a.0", "a\n", "é", "a[1]b", "a=1"]
)
def test_what_is_not_a_dotted_path_is_refused(text):
    with pytest.raises(InputError, match="is not a dotted path"):
        dotted_path.parse(text)


@pytest.mark.parametrize(
    ("data", "path", "value", "expected"),
    [
        ({"a": 1}, "a", 2, {"a": 2}),
        ({}, "a.b.c", 1, {"a": {"b": {"c": 1}}}),
        ({"a": {"b": 1, "c": 2}}, "a.b", 3, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, "a[0]", 3, {"a": [3, 2]}),
        ({"a": [1]}, "a[1]", 3, {"a": [1, 3]}),
        ({}, "a[0].b", 3, {"a": [{"b": 3}]}),
        ({"a": [{"b": 1}]}, "a[0].b", 3, {"a": [{"b": 3}]}),
        ({"a": [[1, 2]]}, "a[0][1]", 3, {"a": [[1, 3]]}),
        ({"rule": "sgd"}, "rule.momentum", 0.9, {"rule": {"type": "sgd", "momentum": 0.9}}),
        ({"rule": "sgd"}, "rule.type", "adam", {"rule": {"type": "adam"}}),
        ({"clips": ["norm"]}, "clips[0].max", 1, {"clips": [{"type": "norm", "max": 1}]}),
        ({"averaging": None}, "averaging.decay", 0.9, {"averaging": {"decay": 0.9}}),
        ({"rate": 0.1}, "rate.type", "cosine", {"rate": {"type": "cosine"}}),
    ],
)
def test_replaced_sets_one_value_in_a_copy(data, path, value, expected):
    before = copy.deepcopy(data)
    assert dotted_path.replaced(data, path, value) == expected
    assert data == before


def test_replaced_expands_a_shorthand_as_it_is_told():
    def expand(location, scalar):
        assert location == ("layers", 1)
        return {"units": scalar}

    found = dotted_path.replaced({"layers": [20, 15]}, "layers[1].activation", "gelu", expand=expand)
    assert found == {"layers": [20, {"units": 15, "activation": "gelu"}]}


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ({"a": [1]}, "a[2]", "there is no element `a[2]`"),
        ({"a": {}}, "a[1]", "there is no element `a[1]`"),
        ({"a": [{"b": 1}]}, "a.b", "`a` is not a mapping, so it has no key `b`"),
        ({"a": {"b": 1}}, "a[0]", "there is no element `a[0]`"),
        ({"a": 20}, "a[0]", "there is no element `a[0]`"),
        ({"a": "text"}, "a[0].b", "there is no element `a[0]`"),
    ],
)
def test_replaced_refuses_a_place_that_cannot_be(data, path, message):
    with pytest.raises(InputError) as caught:
        dotted_path.replaced(data, path, 1)
    assert message in str(caught.value)


def test_lookup():
    data = {"a": [{"b": 5}], "c": "text"}
    assert dotted_path.lookup(data, "a[0].b") == 5
    for absent in ("a[1]", "a[0].x", "x", "c.d", "c[0]", "a.b"):
        with pytest.raises(KeyError):
            dotted_path.lookup(data, absent)
