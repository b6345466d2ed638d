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
from kerastrain.optimizers import ClipByNorm, ComposedOptimizer


@pytest.mark.backend
@pytest.mark.parametrize(
    ("max_norm", "gradient", "clipped"),
    [
        (3.0, [2.0, -4.0, 1.0, -3.0], [1.096, -2.192, 0.548, -1.644]),
        (5.0, [6.0, 8.0], [3.0, 4.0]),
    ],
)
def test_the_examples_of_text_000(max_norm, gradient, clipped):
    (found,) = transformed(ClipByNorm(max_norm), [np.array(gradient, np.float32)])
    np.testing.assert_allclose(found, clipped, atol=2e-3)  # The text multiplies by 0.548, which is rounded.
    np.testing.assert_allclose(np.linalg.norm(np.float64(found)), max_norm, rtol=1e-6)


@pytest.mark.backend
def test_what_does_not_exceed_the_norm_keeps_every_bit():
    # Text 000: [3, 4] at the norm 5.
    gradients = [np.array([3.0, 4.0], np.float32), np.zeros(3, np.float32), np.array([1e-3, 4.99], np.float32)]
    found = transformed(ClipByNorm(5.0), gradients)
    for one, gradient in zip(found, gradients, strict=True):
        np.testing.assert_array_equal(one, gradient)


@pytest.mark.backend
def test_each_variable_has_its_own_norm():
    gradients = [numbers(4, 3, scale=10.0), numbers(5, seed=1, scale=0.1), numbers(2, 1, 2, seed=2), numbers(seed=3)]
    expected = []
    for gradient in gradients:
        norm = np.sqrt(np.sum(np.float64(gradient) ** 2))
        expected.append(np.float64(gradient) * (0.7 / norm if norm > 0.7 else 1.0))
    assert_near(transformed(ClipByNorm(0.7), gradients), expected, rtol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_bad_element_makes_its_own_gradient_zero(bad):
    found, other = transformed(
        ClipByNorm(1.0), [np.array([1.0, bad, -2.0], np.float32), np.array([3.0, 4.0], np.float32)]
    )
    np.testing.assert_array_equal(found, [0.0, np.nan, 0.0])
    np.testing.assert_allclose(other, [0.6, 0.8], rtol=1e-6)


@pytest.mark.backend
def test_a_sum_of_squares_beyond_float32_is_a_step_of_no_length():
    # 1e20 is finite and its square is not.
    found, other = transformed(ClipByNorm(1.0), [np.array([1e20, 1.0], np.float32), np.array([0.5], np.float32)])
    np.testing.assert_array_equal(found, [0.0, 0.0])
    np.testing.assert_array_equal(other, [0.5])


def test_a_run_is_that_of_keras_clipnorm():
    data = batches_of(*regression(scale=5.0))
    paths = []
    for optimizer in (
        keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=0.5),
        ComposedOptimizer(keras.optimizers.SGD(0.1, momentum=0.9), [ClipByNorm(0.5)]),
        keras.optimizers.SGD(0.1, momentum=0.9),
    ):
        model = linear_model()
        model.compile(optimizer, loss="mse")
        paths.append(trained_by_batches(model, data)[-1])
    assert_near(paths[1], paths[0], rtol=1e-6)
    assert np.abs(paths[2][0] - paths[0][0]).max() > 0.1  # Clipping had a part in it.


@pytest.mark.parametrize("max_norm", [0.0, -1.0, float("inf"), float("nan"), "3", None, True])
def test_a_norm_that_is_refused(max_norm):
    with pytest.raises(InputError) as error:
        ClipByNorm(max_norm)
    assert str(error.value) == (
        f"`max_norm` must be a number > 0. Received: max_norm={max_norm!r}. "
        "Leave the transform out to switch clipping off."
    )
