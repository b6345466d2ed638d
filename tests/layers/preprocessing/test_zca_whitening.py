"""ZCA whitening: against SciPy's matrix root and NumPy, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import array, reloaded

from kerastrain._core.errors import InputError
from kerastrain.layers import PCAWhitening, ZCAWhitening

pytestmark = pytest.mark.backend


def images(count=400, seed=0):
    """Smooth ones, so that neighbors are correlated."""
    noise = np.random.default_rng(seed).normal(size=(count, 5, 5, 2))
    smooth = noise[:, :-1, :-1] + noise[:, 1:, :-1] + noise[:, :-1, 1:] + noise[:, 1:, 1:]
    return (0.25 * smooth + 0.5).astype(np.float32)


X = images()
FLAT = np.float64(X.reshape(len(X), -1))
C = np.cov(FLAT, rowvar=False)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_the_matrix_is_the_inverse_of_scipys_root(epsilon):
    linalg = pytest.importorskip("scipy.linalg")
    wanted = np.linalg.inv(linalg.sqrtm(C + epsilon * np.eye(len(C))))
    layer = ZCAWhitening(epsilon).adapt(X, batch_size=37)
    np.testing.assert_allclose(array(layer.matrix), wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(array(layer(X)).reshape(len(X), -1), (FLAT - FLAT.mean(axis=0)) @ wanted, atol=1e-3)


def test_the_matrix_is_symmetric_and_whitens():
    w = np.float64(array(ZCAWhitening().adapt(X).matrix))
    np.testing.assert_allclose(w, w.T, atol=1e-6)
    np.testing.assert_allclose(w @ C @ w, np.eye(len(C)), atol=1e-3)
    assert np.linalg.eigvalsh(w).min() > 0


def test_images_stay_images():
    layer = ZCAWhitening().adapt(X)
    y = np.float64(array(layer(X)))
    assert y.shape == X.shape == layer.compute_output_shape(X.shape)
    np.testing.assert_allclose(np.cov(y.reshape(len(X), -1), rowvar=False), np.eye(len(C)), atol=1e-3)

    # Every pixel goes with itself more than with any other, which PCA's axes do not.
    def with_itself(outputs):
        both = np.corrcoef(FLAT, outputs.reshape(len(X), -1), rowvar=False)[: len(C), len(C) :]
        return np.mean(both.argmax(axis=1) == np.arange(len(C)))

    assert with_itself(y) == 1.0
    assert with_itself(array(PCAWhitening().adapt(X)(X))) < 0.5


def test_in_a_model_before_a_convolution(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 2)), ZCAWhitening(0.1).adapt(X), keras.layers.Conv2D(3, 3)])
    assert model.layers[0].output.shape == (None, 4, 4, 2)
    loaded = reloaded(model, tmp_path)
    assert loaded.layers[0].epsilon == 0.1
    np.testing.assert_allclose(loaded.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)


def test_a_constant_border_is_refused_without_epsilon():
    bordered = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
    with pytest.raises(InputError) as error:
        ZCAWhitening().adapt(bordered)
    assert str(error.value).startswith("The data do not vary along 40 of 72 axes")
    y = array(ZCAWhitening(0.1).adapt(bordered)(bordered))
    np.testing.assert_allclose(y[:, 0], 0.0, atol=1e-6)
    np.testing.assert_allclose(y[:, 1:-1, 1:-1], array(ZCAWhitening(0.1).adapt(X)(X)), atol=1e-4)


@pytest.mark.parametrize("epsilon", [-0.1, "0.1", float("inf")], ids=repr)
def test_an_epsilon_out_of_range_is_refused(epsilon):
    with pytest.raises(InputError) as error:
        ZCAWhitening(epsilon)
    assert str(error.value) == f"`epsilon` must be a number >= 0. Received: epsilon={epsilon!r}."
