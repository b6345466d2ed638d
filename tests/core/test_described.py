import hashlib

import keras
import numpy as np
import pytest

from kerastrain._core.described import described, is_described, sha256_of


class Named:
    def identity(self):
        return {"name": "one"}


def test_plain_data_and_objects_that_say_who_they_are():
    value = {"a": [1, 2.5, None, True, "text"], "b": (np.float32(0.5), Named())}
    assert is_described(value)
    assert described(value) == {"a": [1, 2.5, None, True, "text"], "b": [0.5, {"name": "one"}]}


def test_an_array_is_told_by_type_shape_and_content():
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    expected = hashlib.sha256(b"int16 (2, 3)" + array.tobytes()).hexdigest()[:16]
    assert sha256_of(array) == expected and described(array) == f"int16 (2, 3) sha256 {expected}"
    assert described(np.asfortranarray(array)) == described(array) == described(keras.ops.convert_to_tensor(array))
    others = [array + 1, array.astype(np.int32), array.reshape(3, 2)]
    assert len({described(other) for other in others} | {described(array)}) == 4


@pytest.mark.parametrize(
    "value", [object(), [object()], {"a": len}, Named], ids=["object", "list", "function", "class"]
)
def test_of_anything_else_only_the_type_is_known(value):
    assert not is_described(value)
    assert described([object()]) == ["object"]
