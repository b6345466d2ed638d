from typing import Annotated, Literal

import pydantic
import pytest
from pydantic import Field

from kerastrain._core import problems, yaml_document
from kerastrain._core.errors import InputError


class Inner(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    width: Annotated[int, Field(ge=1, le=9)] = 1
    kind: Literal["wide", "narrow"] = "wide"
    share: Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(ge=1)] = 1


class Outer(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    name: str
    inner: Inner = Inner()
    many: list[Inner] = []
    flag: bool = False
    auto: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"


def messages(text):
    with pytest.raises(InputError) as caught:
        problems.validated(Outer, yaml_document.parse(text, "f.yaml"))
    return str(caught.value).splitlines()


def test_valid_data_becomes_the_model():
    made = problems.validated(Outer, yaml_document.parse("name: a\ninner: {width: 3}\nmany: [{width: 2}]", "f.yaml"))
    assert (made.name, made.inner.width, made.many[0].width) == ("a", 3, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inner: {}\n", "f.yaml:1: `name`: is missing."),
        ("name: 3\n", "f.yaml:1: `name`: expected text. Received: 3."),
        ("name: a\nflag: 1\n", "f.yaml:2: `flag`: expected true or false. Received: 1."),
        ("name: a\ninner:\n  width: 0\n", "f.yaml:3: `inner.width`: expected a number >= 1. Received: 0."),
        ("name: a\ninner:\n  width: 10\n", "f.yaml:3: `inner.width`: expected a number <= 9. Received: 10."),
        ("name: a\ninner:\n  width: 1.0\n", "f.yaml:3: `inner.width`: expected a whole number. Received: 1.0."),
        ("name: a\ninner: 3\n", "f.yaml:2: `inner`: expected a mapping. Received: 3."),
        ("name: a\nmany: 3\n", "f.yaml:2: `many`: expected a list. Received: 3."),
        ("name: a\nmany:\n- {width: 1}\n- {width: x}\n", "f.yaml:4: `many[1].width`: expected a whole number."),
        ("name: a\ninner:\n  widht: 1\n", "f.yaml:3: `inner.widht`: unknown key. Did you mean `width`?"),
        ("name: a\nmany:\n- widht: 1\n", "f.yaml:3: `many[0].widht`: unknown key. Did you mean `width`?"),
        ("name: a\ninner: {kind: wyde}\n", "f.yaml:2: `inner.kind`: expected `wide` or `narrow`."),
        ("name: a\ninner: {kind: wyde}\n", 'Received: "wyde". Did you mean `wide`?'),
        ("name: a\ninner: {share: -1}\n", "f.yaml:2: `inner.share`: expected"),
        ("name: a\ninner: {share: x}\n", "f.yaml:2: `inner.share`: expected"),
        ("name: a\nauto: aut\n", "f.yaml:2: `auto`: expected `auto`"),
        ("- a\n", 'f.yaml: expected a mapping. Received: ["a"].'),
        ("", "f.yaml: expected a mapping. Received: null."),
    ],
)
def test_a_problem_names_place_key_expected_and_received(text, expected):
    found = messages(text)
    assert len(found) == 1
    assert expected in found[0], found[0]


def test_each_place_is_told_once_in_the_order_of_the_file():
    found = messages("name: a\nmany:\n- {width: x}\ninner: {width: 0, kind: z}\nflag: maybe\n")
    assert [line.split(": ")[0] for line in found] == ["f.yaml:3", "f.yaml:4", "f.yaml:4", "f.yaml:5"]


def test_a_long_value_is_cut():
    (line,) = messages("name: a\nflag: " + "x" * 500)
    assert len(line) < 200 and line.endswith("....")
