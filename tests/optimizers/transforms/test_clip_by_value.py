import keras
import numpy as np
import pytest
from optimizer_probes import (
    assert_near,
    batches_of,
    linear_model,
    numbers,
    regression,
    trained_by_batches,
    transformed,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers import ClipByValue, ComposedOptimizer


@pytest.mark.backend
@pytest.mark.parametrize(
    ("gradient", "clipped"),
    [([0.5, -1.2, 3.0, -4.5, 2.0], [0.5, -1.2, 2.0, -2.0, 2.0]), ([3.0], [2.0])],
)
def test_the_examples_of_text_000(gradient, clipped):
    (found,) = transformed(ClipByValue(-2.0, 2.0), [np.array(gradient, np.float32)])
    np.testing.assert_array_equal(found, np.array(clipped, np.float32))


@pytest.mark.backend
def test_the_bounds_need_not_be_symmetric():
    gradients = [numbers(4, 3), numbers(5, seed=1), numbers(seed=2)]
    found = transformed(ClipByValue(-0.25, 1.5), gradients)
    for one, gradient in zip(found, gradients, strict=True):
        np.testing.assert_array_equal(one, np.maximum(np.minimum(gradient, np.float32(1.5)), np.float32(-0.25)))


@pytest.mark.backend
def test_a_bad_element_touches_no_other():
    bad = np.array([1.0, np.inf, -np.inf, np.nan, -3.0], np.float32)
    found, other = transformed(ClipByValue(-1.0, 2.0), [bad, np.ones(2, np.float32)])
    np.testing.assert_array_equal(found, [1.0, 2.0, -1.0, np.nan, -1.0])
    np.testing.assert_array_equal(other, [1.0, 1.0])


def test_a_symmetric_run_is_that_of_keras_clipvalue():
    data = batches_of(*regression(scale=5.0))
    paths = []
    for optimizer in (
        keras.optimizers.SGD(0.1, momentum=0.9, clipvalue=0.3),
        ComposedOptimizer(keras.optimizers.SGD(0.1, momentum=0.9), [ClipByValue(-0.3, 0.3)]),
        keras.optimizers.SGD(0.1, momentum=0.9),
    ):
        model = linear_model()
        model.compile(optimizer, loss="mse")
        paths.append(trained_by_batches(model, data)[-1])
    assert_near(paths[1], paths[0], rtol=1e-6)
    assert np.abs(paths[2][0] - paths[0][0]).max() > 0.1  # Clipping had a part in it.


def test_a_moved_bound_counts():
    weight = keras.Variable([0.0, 0.0])
    optimizer = ComposedOptimizer(keras.optimizers.SGD(1.0), [ClipByValue(-1.0, 1.0)])
    gradient = keras.ops.convert_to_tensor([-5.0, 5.0])
    optimizer.apply([gradient], [weight])
    optimizer.hyperparameters["clip_by_value.min_value"] = -3.0
    optimizer.hyperparameters["clip_by_value.max_value"] = 0.5
    optimizer.apply([gradient], [weight])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), [1.0 + 3.0, -1.0 - 0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("1", 2.0), "`min_value` must be a number. Received: min_value='1'."),
        ((-1.0, float("inf")), "`max_value` must be a number. Received: max_value=inf."),
        ((float("nan"), 1.0), "`min_value` must be a number. Received: min_value=nan."),
        ((1.0, 1.0), "`min_value` must be below `max_value`. Received: min_value=1, max_value=1."),
        ((2.0, -2.0), "`min_value` must be below `max_value`. Received: min_value=2, max_value=-2."),
    ],
    ids=str,
)
def test_bounds_that_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        ClipByValue(*arguments)
    assert str(error.value) == message
