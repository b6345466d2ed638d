from typing import Literal

import pydantic
import pytest

from kerastrain._core import problems, yaml_document
from kerastrain._core.errors import InputError
from kerastrain._core.registry import PositiveFloat, Registry, component


def scale(factor: PositiveFloat, times: int = 1, mode: Literal["up", "down"] = "up", exact: bool = False, *, context=1):
    return factor, times, mode, exact, context


def registry(**options):
    made = Registry("resizer", **options)
    made.add("scale", scale, "Multiplies.", skip=("context",))
    made.add("twice", lambda: "twice", "Two times.", only={})
    return made


def test_defaults_are_filled_in_and_the_target_is_called():
    made = registry()
    assert made.validate({"type": "scale", "factor": 2.0}) == {
        "type": "scale", "factor": 2.0, "times": 1, "mode": "up", "exact": False,
    }  # fmt: skip
    assert made.create({"type": "scale", "factor": 2}, context=7) == (2.0, 1, "up", False, 7)
    assert made.create("twice") == "twice"
    assert made.names() == ["scale", "twice"]
    assert "scale" in made and "x" not in made
    assert [entry.description for entry in made] == ["Multiplies.", "Two times."]


@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        ("scal", ["unknown resizer `scal`", "Did you mean `scale`?", "Known: scale, twice"]),
        ({"type": "zzz"}, ["unknown resizer `zzz`", "Known: scale, twice"]),
        ({"type": 3}, ["unknown resizer `3`"]),
        ({"type": None}, ["unknown resizer"]),
        ({}, ["`type`", "expected the name of a resizer", "Received: nothing"]),
        ({"typ": "scale", "factor": 1}, ["`type`", 'Received: "typ: scale" in place of `type`']),
        (3, ["expected the name of a resizer or a mapping with `type`", "Received: 3"]),
        (None, ["expected the name of a resizer"]),
        ([], ["expected the name of a resizer"]),
        (True, ["expected the name of a resizer"]),
        ({"type": "scale"}, ["`factor`", "is missing"]),
        ({"type": "scale", "factor": 0}, ["`factor`", "expected a number > 0", "Received: 0"]),
        ({"type": "scale", "factor": float("inf")}, ["`factor`", "expected a finite number"]),
        ({"type": "scale", "factor": float("nan")}, ["`factor`", "expected a"]),
        ({"type": "scale", "factor": "1"}, ["`factor`", "expected a number", 'Received: "1"']),
        ({"type": "scale", "factor": True}, ["`factor`", "expected a number", "Received: true"]),
        ({"type": "scale", "factor": 1, "times": 1.5}, ["`times`", "expected a whole number"]),
        ({"type": "scale", "factor": 1, "times": True}, ["`times`", "expected a whole number"]),
        ({"type": "scale", "factor": 1, "exact": 1}, ["`exact`", "expected true or false"]),
        ({"type": "scale", "factor": 1, "mode": "dwn"}, ["`mode`", "`up` or `down`", "Did you mean `down`?"]),
        ({"type": "scale", "factor": 1, "tims": 2}, ["`tims`", "unknown key", "Did you mean `times`?"]),
        ({"type": "twice", "factor": 1}, ["`factor`", "unknown key", "Known here: none"]),
        ({"type": "scale", "factor": 1, "context": 2}, ["`context`", "unknown key"]),
    ],
)
def test_create_is_strict(value, fragments):
    with pytest.raises(InputError) as caught:
        registry().create(value)
    for fragment in fragments:
        assert fragment in str(caught.value), str(caught.value)


def test_a_number_is_the_shorthand_of_one_argument():
    made = registry(scalar=("scale", "factor"))
    assert made.create(3) == (3.0, 1, "up", False, 1)
    assert made.expand("twice") == {"type": "twice"}
    with pytest.raises(InputError, match="expected the name of a resizer, a number or a mapping"):
        made.create(True)


def test_another_key_may_hold_the_name():
    made = registry(key="topology")
    assert made.create({"topology": "twice"}) == "twice"
    with pytest.raises(InputError, match="`topology`"):
        made.create({"type": "twice"})


def test_names_and_arguments_are_checked_when_they_are_added():
    made = registry()
    with pytest.raises(ValueError, match="registered already"):
        made.add("scale", scale, "again", skip=("context",))
    with pytest.raises(TypeError, match="without a type"):
        made.add("untyped", lambda x: x, "x")
    with pytest.raises(TypeError, match="has no arguments"):
        made.add("absent", scale, "x", skip=("context",), nothing=int)
    with pytest.raises(InputError, match="Did you mean `twice`"):
        made["twic"]


def test_components_in_a_model_keep_their_place():
    class Holder(pydantic.BaseModel):
        parts: list[component(registry())]

    document = yaml_document.parse("parts:\n  - twice\n  - type: scale\n    factor: -1\n  - scael\n", "f.yaml")
    with pytest.raises(InputError) as caught:
        problems.validated(Holder, document)
    first, second = str(caught.value).splitlines()
    assert first == "f.yaml:4: `parts[1].factor`: expected a number > 0. Received: -1."
    assert second.startswith("f.yaml:5: `parts[2]") and "Did you mean `scale`?" in second
