"""Fails when Keras changes what is used of its graphs beyond the public API."""

import keras
import pytest

from kerastrain._core.keras_graph import calls, has_graph, makers_of_outputs

pytestmark = pytest.mark.backend


def network():
    inputs = keras.Input((None, 3))
    shared = keras.layers.Dense(3, name="shared")
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(shared(shared(inputs))))


def told(found):
    return [
        (call.operation.name, *([tuple(each.shape) for each in some] for some in (call.inputs, call.outputs)))
        for call in found
    ]


def test_each_call_with_its_shapes():
    shared = ("shared", [(None, None, 3)], [(None, None, 3)])
    assert told(calls(network())) == [shared, shared, ("head", [(None, None, 3)], [(None, None, 2)])]
    larger = calls(network(), [keras.KerasTensor((None, 7, 3))])
    shared = ("shared", [(None, 7, 3)], [(None, 7, 3)])
    assert told(larger) == [shared, shared, ("head", [(None, 7, 3)], [(None, 7, 2)])]


def test_which_models_have_one():
    class Inner(keras.Model):
        def call(self, inputs):
            return inputs

    class Outer(keras.Model):
        def call(self, inputs):
            return super().call(super().call(inputs))

    x = keras.Input((2,))
    y = keras.layers.Dense(2)(x)
    assert has_graph(keras.Model(x, y)) and has_graph(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    assert not has_graph(Inner()) and not has_graph(Outer(x, y)) and not has_graph(keras.Sequential())


def test_the_makers_of_outputs():
    inner, inputs = network(), keras.Input((4, 3))
    attended = keras.layers.MultiHeadAttention(1, 2, name="attended")(inputs, inputs)
    model = keras.Model(inputs, [inner(inputs), keras.ops.softmax(attended)])
    names = {layer.name for layer in makers_of_outputs(model)}
    assert {"head", "attended", "query"} <= names and "shared" not in names
