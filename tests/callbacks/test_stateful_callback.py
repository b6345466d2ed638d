import math

import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.callbacks import StatefulCallback


class Remembers(StatefulCallback):
    state_names = ("value", "others")

    def __init__(self, value=None, others=()):
        super().__init__()
        self.value = value
        self.others = others


def test_what_is_kept_comes_back():
    given = {"inf": math.inf, "none": None, "flag": True, "text": "a", "nested": [{"x": np.arange(3.0)}, 2]}
    state = Remembers(np.float32(0.5), given).state_dict()
    assert type(state["value"]) is float and state["value"] == 0.5
    other = Remembers()
    other.load_state_dict(state)
    assert other.others["inf"] == math.inf and other.others["none"] is None and other.others["flag"] is True
    np.testing.assert_array_equal(other.others["nested"][0]["x"], [0.0, 1.0, 2.0])


def test_nan_is_kept():
    other = Remembers()
    other.load_state_dict(Remembers(math.nan).state_dict())
    assert math.isnan(other.value)


def test_state_shares_nothing_with_the_callback():
    array = np.zeros(2)
    callback = Remembers(array, [1])
    state = callback.state_dict()
    array += 1
    callback.others.append(2)
    assert state["value"].tolist() == [0.0, 0.0] and state["others"] == [1]
    other = Remembers()
    other.load_state_dict(state)
    state["value"] += 1
    assert other.value.tolist() == [0.0, 0.0]


def test_one_without_names_remembers_nothing():
    assert StatefulCallback().state_dict() == {}
    StatefulCallback().load_state_dict({})


@pytest.mark.parametrize("value", [object(), {1: "one"}, [{"deep": {2, 3}}]])
def test_what_no_checkpoint_can_hold_is_refused(value):
    with pytest.raises(InputError, match=r"`value` must be None, a number, .* Received: a (object|dict|set)"):
        Remembers(value).state_dict()


def test_another_callbacks_state_is_refused():
    message = r"Remembers.state_dict\(\) returned, with value, others. Received: value, wait"
    with pytest.raises(InputError, match=message):
        Remembers().load_state_dict({"value": 1, "wait": 2})
