"""Functions compiled to one pass over a tensor: what they are made of must not show."""

import logging

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, array, differentiated

from kerastrain._core.one_pass import OnePass

pytestmark = pytest.mark.backend

CUBE = OnePass(lambda x: x * x * x, lambda x: 3 * x * x)
POINTS = np.array([-2.0, 0.5, 3.0], np.float32)


def test_value_and_slope():
    found, [slope], _ = differentiated(CUBE, [POINTS])
    np.testing.assert_allclose(found, POINTS**3, rtol=1e-6)
    np.testing.assert_allclose(slope, 3 * POINTS**2, rtol=1e-6)


def test_float64_keeps_its_precision():
    x = keras.ops.convert_to_tensor(np.array([1.0 + 1e-12]), dtype="float64")
    if keras.backend.standardize_dtype(x.dtype) != "float64":
        pytest.skip("no float64 on this backend")
    assert float(keras.ops.convert_to_numpy(CUBE(x))[0] - 1.0) == pytest.approx(3e-12, rel=1e-3)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's compiler")
def test_half_precision_is_rounded_once():
    # 1.0078125^3 is 1.0236211, between 1.0234375 and 1.03125; by way of a rounded square it would be 1.0234375 too, so
    # a value of which the two ways differ: 1.1640625^3 = 1.577373 -> 1.578125, by the square 1.3515625 -> 1.5703125.
    x = keras.ops.cast(keras.ops.convert_to_tensor(np.array([1.1640625], np.float32)), "bfloat16")
    found = CUBE(x)
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    assert float(array(found)[0]) == 1.578125


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's gradients")
def test_slope_of_the_slope_and_batches_of_any_size():
    import tensorflow as tf

    x = tf.constant(POINTS)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = CUBE(x)
        slope = inner.gradient(y, x)
    np.testing.assert_allclose(outer.gradient(slope, x).numpy(), 6 * POINTS, rtol=1e-6)
    traced = tf.function(CUBE, input_signature=[tf.TensorSpec([None])])
    for size in (1, 3):
        np.testing.assert_allclose(traced(x[:size]).numpy(), POINTS[:size] ** 3, rtol=1e-6)


def test_a_symbolic_tensor_makes_a_model():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Lambda(CUBE)(inputs))
    np.testing.assert_allclose(array(model(POINTS[None])), POINTS[None] ** 3, rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the warning is TensorFlow's")
def test_many_shapes_are_no_reason_for_a_warning():
    import tensorflow

    said = []
    handler = logging.Handler()
    handler.emit = said.append
    tensorflow.get_logger().addHandler(handler)
    try:
        one = OnePass(keras.ops.square, lambda x: 2 * x)
        for size in range(1, 10):
            one(keras.ops.ones((size, 2)))
    finally:
        tensorflow.get_logger().removeHandler(handler)
    assert said == []
