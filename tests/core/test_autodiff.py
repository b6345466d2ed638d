import keras
import numpy as np
import pytest

from kerastrain._core.autodiff import value_and_gradients

pytestmark = pytest.mark.backend


def test_gradients_are_those_of_calculus():
    a = keras.Variable(np.array([1.0, -2.0], np.float32))
    b = keras.Variable(np.array(3.0, np.float32), trainable=False)
    value, gradients = value_and_gradients(lambda: keras.ops.sum(a * a) * b, [a, b])
    assert value == 15.0
    np.testing.assert_allclose(gradients[0], [6.0, -12.0])  # 2 a b
    np.testing.assert_allclose(gradients[1], 5.0)  # sum of a^2
    assert a.trainable and not b.trainable


def test_a_variable_without_influence_has_zeros():
    a, b = keras.Variable([1.0]), keras.Variable([[2.0, 3.0]])
    _, gradients = value_and_gradients(lambda: keras.ops.sum(a), [a, b])
    assert gradients[0].tolist() == [1.0] and gradients[1].tolist() == [[0.0, 0.0]]


def test_the_variables_stay_as_they_were():
    a = keras.Variable([1.0])
    value_and_gradients(lambda: keras.ops.sum(a * 2.0), [a])
    assert keras.ops.convert_to_numpy(a).tolist() == [1.0]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    value_and_gradients(lambda: keras.ops.sum(model(np.ones((2, 1)))), model.trainable_variables)
    assert np.isfinite(model.train_on_batch(np.ones((2, 1)), np.ones((2, 1))))
