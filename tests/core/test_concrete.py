"""Values beneath a trace, on every backend; fails when Keras changes what is used of its variables and scopes."""

import keras
import numpy as np
import pytest

from kerastrain._core.concrete import concrete_value, shapes_only

pytestmark = pytest.mark.backend
BACKEND = keras.backend.backend()


class Reader(keras.layers.Layer):
    """Passes its inputs on, and keeps what it could see of its weight at each call from Python."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.weight = self.add_weight(shape=(2,), initializer="zeros", trainable=False, name="weight")
        self.values, self.for_shapes = [], []
        self.built = True

    def call(self, inputs):
        self.for_shapes.append(shapes_only())
        if not shapes_only():
            self.values.append(concrete_value(self.weight))
        return inputs + self.weight


def read(jit_compile=False):
    reader = Reader()
    model = keras.Sequential([keras.Input((2,)), reader, keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    reader.weight.assign([3.0, 4.0])
    reader.values.clear()
    reader.for_shapes.clear()
    return reader, model


INPUTS = np.ones((4, 2), np.float32)


def test_a_value_is_a_copy():
    variable = keras.Variable([1.0, 2.0])
    value = concrete_value(variable)
    assert type(value) is np.ndarray and value.tolist() == [1.0, 2.0]
    variable.assign([5.0, 6.0])
    assert value.tolist() == [1.0, 2.0] and concrete_value(variable).tolist() == [5.0, 6.0]


def test_the_value_beneath_a_scope_that_hides_it():
    variable = keras.Variable(1.0)
    with keras.StatelessScope(state_mapping=[(variable, keras.ops.convert_to_tensor(7.0))]):
        assert float(keras.ops.convert_to_numpy(variable.value)) == 7.0
        assert float(concrete_value(variable)) == 1.0


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.function")
def test_the_value_while_tensorflow_traces():
    import tensorflow as tf

    variable, seen = keras.Variable([1.0, 2.0]), []

    @tf.function
    def traced(x):
        seen.append(concrete_value(variable))
        return x + variable.value

    traced(tf.constant(1.0))
    assert [value.tolist() for value in seen] == [[1.0, 2.0]]


@pytest.mark.skipif(BACKEND != "jax", reason="jax.jit")
def test_the_value_while_jax_traces():
    import jax

    variable, seen = keras.Variable([1.0, 2.0]), []

    @jax.jit
    def traced(value):
        with keras.StatelessScope(state_mapping=[(variable, value)]):
            assert isinstance(variable.value, jax.core.Tracer)
            seen.append(concrete_value(variable))
            return variable.value + 1

    traced(variable.value)
    assert [value.tolist() for value in seen] == [[1.0, 2.0]]


@pytest.mark.parametrize("jit_compile", [False] if BACKEND == "torch" else [False, True])
@pytest.mark.parametrize("step", ["train_on_batch", "test_on_batch", "predict_on_batch"])
def test_the_value_in_a_step_of_keras(step, jit_compile):
    reader, model = read(jit_compile)
    getattr(model, step)(*(INPUTS, INPUTS[:, :1])[: 1 if step == "predict_on_batch" else 2])
    assert [value.tolist() for value in reader.values] == [[3.0, 4.0]]


def test_no_value_while_jax_predicts():
    reader, model = read()
    model.predict(INPUTS, verbose=0)
    expected = None if BACKEND == "jax" else [3.0, 4.0]
    assert [value if value is None else value.tolist() for value in reader.values] == [expected]
    assert concrete_value(reader.weight).tolist() == [3.0, 4.0], "they are back afterwards"


def test_calls_for_shapes_are_told_from_calls_for_numbers():
    reader, model = read()
    assert not shapes_only()
    reader(keras.KerasTensor((None, 2)))
    assert set(reader.for_shapes) == {True}
    for call in (lambda: reader(INPUTS), lambda: model.predict(INPUTS, verbose=0), lambda: train(model)):
        reader.for_shapes.clear()
        call()
        assert reader.for_shapes[-1] is False
    reader.for_shapes.clear()
    reader(INPUTS)
    assert reader.for_shapes == [False]


def train(model):
    model.train_on_batch(INPUTS, INPUTS[:, :1])
