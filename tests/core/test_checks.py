import re

import numpy as np
import pytest

from kerastrain._core import checks
from kerastrain._core.checks import boolean, choice, number, whole_number
from kerastrain._core.errors import InputError

NOT_NUMBERS = [True, np.True_, "1", b"1", None, float("nan"), float("inf"), -np.inf, 10**400, [1.0, 2.0], {}, 1j]


@pytest.mark.parametrize("value", [0, -2, 3.5, np.float32(0.25), np.int64(7), 2**100], ids=str)
def test_a_number_becomes_a_float(value):
    found = number("rate", value)
    assert type(found) is float
    assert found == value


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda value: str(value)[:8])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(InputError) as error:
        number("rate", value)
    assert str(error.value) == f"`rate` must be a number. Received: rate={value!r}."


@pytest.mark.parametrize(
    ("bounds", "inside", "outside"),
    [
        ({"minimum": 0}, [0.0, 5.0], [-1e-9]),
        ({"above": 0}, [1e-9], [0.0, -1.0]),
        ({"maximum": 1}, [1.0, -3.0], [1.0000001]),
        ({"below": 1}, [0.9999999], [1.0, 2.0]),
        ({"minimum": 0, "below": 1}, [0.0, 0.5], [-0.1, 1.0]),
        ({"above": 0, "maximum": 1}, [0.5, 1.0], [0.0, 1.1]),
    ],
    ids=str,
)
def test_bounds(bounds, inside, outside):
    for value in inside:
        assert number("rate", value, **bounds) == value
    for value in outside:
        with pytest.raises(InputError, match="`rate` must be a number"):
            number("rate", value, **bounds)


def test_the_message_names_bounds_and_remedy():
    with pytest.raises(InputError) as error:
        number("rate", 2, minimum=0, below=1, remedy="Use None to switch it off.")
    assert str(error.value) == "`rate` must be a number >= 0 and < 1. Received: rate=2. Use None to switch it off."


@pytest.mark.parametrize(("value", "minimum"), [(1, 1), (0, 0), (-3, -5), (2**40, 1)])
def test_a_whole_number(value, minimum):
    assert whole_number("steps", value, minimum=minimum) == value


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None, float("nan")], ids=str)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InputError) as error:
        whole_number("steps", value)
    assert str(error.value) == f"`steps` must be a whole number >= 1. Received: steps={value!r}."


def test_a_choice():
    assert choice("scope", "global", ("global", "variable")) == "global"
    with pytest.raises(InputError) as error:
        choice("scope", "variabel", ("global", "variable"))
    assert str(error.value) == (
        "`scope` must be one of 'global', 'variable'. Received: scope='variabel'. Did you mean `variable`?"
    )
    with pytest.raises(InputError, match="Received: scope=None"):
        choice("scope", None, ("global", "variable"))


def test_a_boolean():
    assert boolean("nesterov", True) is True
    assert boolean("nesterov", False) is False
    for value in (1, 0, None, "True", np.True_):
        with pytest.raises(InputError) as error:
            boolean("nesterov", value)
        assert str(error.value) == f"`nesterov` must be True or False. Received: nesterov={value!r}."


def test_where_no_file_or_folder_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    free = tmp_path / "new" / "below" / "file"
    assert checks.place_for_file("path", free) == free and checks.place_for_folder("path", free.parent) == free.parent
    assert checks.place_for_file("path", tmp_path / "file") == tmp_path / "file"  # It is replaced.
    cases = [
        (checks.place_for_file, tmp_path, f"`path` must be a file. Received: {tmp_path}, which is a folder."),
        (checks.place_for_folder, tmp_path / "file", f"Received: {tmp_path / 'file'}, which is a file."),
        (checks.place_for_file, tmp_path / "file" / "a" / "b", f"file/a, and {tmp_path / 'file'} is a file."),
    ]
    for check, path, message in cases:
        with pytest.raises(InputError, match=re.escape(message)):
            check("path", path)
    assert not (tmp_path / "new").exists()
