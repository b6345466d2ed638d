import keras
import numpy as np
import pytest
from optimizer_probes import (
    assert_near,
    batches_of,
    linear_model,
    numbers,
    numpy_sgd,
    regression,
    trained_by_batches,
    transformed,
)

from kerastrain.optimizers import CentralizeGradients, ComposedOptimizer


@pytest.mark.backend
@pytest.mark.parametrize("shape", [(4, 3), (5, 2, 3), (3, 3, 2, 5)], ids=str)
def test_each_unit_has_mean_zero(shape):
    gradient = numbers(*shape) + 2.0
    (found,) = transformed(CentralizeGradients(), [gradient])
    columns = np.float64(gradient).reshape(-1, shape[-1])
    expected = np.stack([column - column.sum() / len(column) for column in columns.T], axis=1).reshape(shape)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.reshape(-1, shape[-1]).sum(axis=0), np.zeros(shape[-1]), atol=1e-4)


@pytest.mark.backend
def test_vectors_and_scalars_stay():
    gradients = [numbers(5) + 2.0, numbers(seed=1)]
    for found, gradient in zip(transformed(CentralizeGradients(), gradients), gradients, strict=True):
        np.testing.assert_array_equal(found, gradient)


@pytest.mark.backend
def test_under_sgd_the_sum_of_a_units_weights_stays():
    data = batches_of(*regression())
    model = linear_model()
    start = model.get_weights()
    model.compile(ComposedOptimizer(keras.optimizers.SGD(0.2), [CentralizeGradients()]), loss="mse")
    path = trained_by_batches(model, data)
    expected = numpy_sgd(
        start, data, 0.2, lambda step, gradients, weights: [gradients[0] - gradients[0].mean(axis=0), gradients[1]]
    )
    assert_near(path[-1], expected[-1])
    np.testing.assert_allclose(path[-1][0].sum(axis=0), start[0].sum(axis=0), atol=1e-5)
    assert np.abs(path[-1][0] - start[0]).max() > 0.1
