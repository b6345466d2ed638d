"""Variables go into one and come back, along the first axis or as vectors."""

import keras
import numpy as np
import pytest

from kerastrain._core import joined_tensors

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("shapes", "as_vectors"),
    [([(1, 2), (3, 2), (2, 2)], False), ([(3,), (), (2, 2), (1,)], True), ([(4,), (1,)], False)],
)
def test_there_and_back(shapes, as_vectors):
    values = [np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in shapes]
    expected = np.concatenate([value.reshape(-1) if as_vectors else value for value in values])
    variables = [keras.Variable(value) for value in values]
    whole = keras.Variable(np.zeros_like(expected))
    joined_tensors.read_into(whole, variables, as_vectors)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(whole), expected)
    tensors = [keras.ops.convert_to_tensor(value) for value in values]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(joined_tensors.joined(tensors, as_vectors)), expected)
    whole.assign(keras.ops.negative(whole.value))
    joined_tensors.write_parts(variables, joined_tensors.parts_of(whole.value, shapes, as_vectors))
    whole.assign(keras.ops.zeros_like(whole.value))  # What was written does not share its memory.
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), -value)
