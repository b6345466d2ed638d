"""A layer with other values in place of its variables, on every backend; fails when Keras changes its scopes."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, array, differentiated

from kerastrain._core.errors import InputError
from kerastrain._core.substituted import substituted

pytestmark = pytest.mark.backend

VALUES = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
OTHER = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


def built(**arguments):
    layer = keras.layers.Dense(3, bias_initializer="ones", **arguments)
    layer.build((None, 4))
    return layer


def tensor(values):
    return keras.ops.convert_to_tensor(values)


def test_the_values_are_used_and_the_variables_stay():
    layer = built()
    before = [weight.copy() for weight in layer.get_weights()]
    found = array(substituted(layer, [(layer.kernel, tensor(OTHER))], tensor(VALUES)))
    np.testing.assert_allclose(found, VALUES @ OTHER + 1, rtol=1e-5, atol=1e-6)
    bias = np.array([1.0, 2.0, 3.0], np.float32)
    found = array(substituted(layer, [(layer.kernel, tensor(OTHER)), (layer.bias, tensor(bias))], tensor(VALUES)))
    np.testing.assert_allclose(found, VALUES @ OTHER + bias, rtol=1e-5, atol=1e-6)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_allclose(array(layer(VALUES)), VALUES @ before[0] + 1, rtol=1e-5, atol=1e-6)


def test_without_values_it_is_the_layer():
    layer = built()
    np.testing.assert_array_equal(array(substituted(layer, [], tensor(VALUES))), array(layer(VALUES)))


def test_gradients_flow_into_the_values_and_the_other_variables():
    layer = built()
    _, [by_input, by_value], [by_kernel, by_bias] = differentiated(
        lambda x, value: substituted(layer, [(layer.kernel, 2 * value)], x), [VALUES, OTHER], [layer.kernel, layer.bias]
    )
    np.testing.assert_allclose(by_value, 2 * np.tile(VALUES.sum(axis=0)[:, None], (1, 3)), rtol=1e-5)
    np.testing.assert_allclose(by_input, 2 * np.tile(OTHER.sum(axis=1), (5, 1)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_bias, np.full(3, 5.0))
    assert by_kernel is None or not by_kernel.any()


def test_a_value_that_is_made_of_the_variable_hands_its_gradient_on():
    layer = built()
    _, _, [by_kernel] = differentiated(
        lambda: substituted(layer, [(layer.kernel, keras.ops.square(layer.kernel))], tensor(VALUES)), [], [layer.kernel]
    )
    expected = 2 * layer.get_weights()[0] * VALUES.sum(axis=0)[:, None]
    np.testing.assert_allclose(by_kernel, expected, rtol=1e-4, atol=1e-6)


def test_the_values_of_a_scope_around_it_are_seen():
    layer = built()
    bias = np.array([4.0, 5.0, 6.0], np.float32)
    with keras.StatelessScope(state_mapping=[(layer.bias, tensor(bias))]):
        found = substituted(layer, [(layer.kernel, tensor(OTHER))], tensor(VALUES))
    np.testing.assert_allclose(array(found), VALUES @ OTHER + bias, rtol=1e-5, atol=1e-5)


def test_options_are_passed_on():
    dropout = keras.layers.Dropout(0.5, seed=0)
    assert (array(substituted(dropout, [], tensor(VALUES), training=True)) == 0).any()
    np.testing.assert_array_equal(array(substituted(dropout, [], tensor(VALUES), training=False)), VALUES)


def test_a_random_generator_moves_on():
    dropout, twin = (keras.layers.Dropout(0.5, seed=1) for _ in range(2))
    found = [array(substituted(dropout, [], tensor(VALUES), training=True)) for _ in range(3)]
    for one in found:
        np.testing.assert_array_equal(one, array(twin(tensor(VALUES), training=True)))
    assert (found[0] != found[1]).any()


def test_what_is_assigned_to_other_variables_stays_assigned():
    norm = keras.layers.BatchNormalization(momentum=0.5)
    norm.build((None, 4))
    substituted(norm, [(norm.gamma, keras.ops.zeros((4,)))], tensor(VALUES), training=True)
    np.testing.assert_allclose(array(norm.moving_mean), 0.5 * VALUES.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(array(norm.gamma), np.ones(4))


def test_an_assignment_to_a_replaced_variable_is_refused():
    norm = keras.layers.BatchNormalization(name="norm")
    norm.build((None, 4))
    with pytest.raises(InputError, match="`norm` assigns to its `moving_mean`, which is replaced here"):
        substituted(norm, [(norm.moving_mean, keras.ops.ones((4,)))], tensor(VALUES), training=True)
    np.testing.assert_array_equal(array(norm.moving_mean), np.zeros(4))


class Twice(keras.layers.Layer):
    """Two layers, the first of which adds a loss."""

    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(3, activity_regularizer=keras.regularizers.L2(0.5), use_bias=False)
        self.second = keras.layers.Dense(2)

    def build(self, input_shape):
        self.first.build(input_shape)
        self.second.build((*input_shape[:-1], 3))

    def call(self, inputs):
        return self.second(self.first(inputs))


class Replaced(keras.layers.Layer):
    """Calls a layer with `OTHER` as the kernel of its first."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def build(self, input_shape):
        self.layer.build(input_shape)

    def call(self, inputs):
        return substituted(self.layer, [(self.layer.first.kernel, keras.ops.convert_to_tensor(OTHER))], inputs)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # Not for the kernel, which is replaced.
def test_a_loss_of_a_layer_inside_is_added_once_in_a_compiled_step_too():
    model = keras.Sequential([keras.Input((4,)), Replaced(Twice())])
    # Keras takes the mean over the batch.
    expected = 0.5 * np.square(np.float64(VALUES) @ OTHER).sum() / len(VALUES)
    model(VALUES)
    [loss] = model.losses
    np.testing.assert_allclose(array(loss), expected, rtol=1e-5)
    model.compile(optimizer="sgd", loss=lambda y, outputs: 0.0 * keras.ops.sum(outputs), jit_compile=BACKEND == "jax")
    for _ in range(2):
        np.testing.assert_allclose(model.train_on_batch(VALUES, np.zeros((5, 1))), expected, rtol=1e-5)


def test_a_value_of_another_shape_is_refused():
    layer = built()
    with pytest.raises(ValueError, match="shape"):
        substituted(layer, [(layer.kernel, tensor(OTHER.T))], tensor(VALUES))
    np.testing.assert_allclose(array(layer(VALUES)), VALUES @ layer.get_weights()[0] + 1, rtol=1e-5, atol=1e-6)


def test_an_error_in_the_layer_leaves_no_scope_behind():
    layer = built()
    with pytest.raises(ValueError, match="incompatible"):
        substituted(layer, [(layer.kernel, tensor(OTHER))], keras.ops.ones((5, 7)))
    np.testing.assert_allclose(array(layer(VALUES)), VALUES @ layer.get_weights()[0] + 1, rtol=1e-5, atol=1e-6)
    layer.bias.assign([7.0, 8.0, 9.0])
    np.testing.assert_array_equal(array(layer.bias), [7, 8, 9])
