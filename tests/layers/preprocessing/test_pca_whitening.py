"""PCA whitening: against scikit-learn and NumPy's singular values, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import array, reloaded

from kerastrain._core.errors import InputError
from kerastrain.layers import PCAWhitening

pytestmark = pytest.mark.backend


def samples(count=500, features=5, mean=3.0, seed=0):
    mixing = np.random.default_rng(99).normal(size=(features, features))
    return (np.random.default_rng(seed).normal(size=(count, features)) @ mixing + mean).astype(np.float32)


X = samples()


@pytest.mark.parametrize("components", [1, 3, 5, None])
def test_equals_scikit_learn(components):
    decomposition = pytest.importorskip("sklearn.decomposition")
    peer = decomposition.PCA(components, whiten=True)
    wanted = peer.fit_transform(np.float64(X))
    layer = PCAWhitening(components)
    for data in (X, np.split(X, [1, 400])):
        np.testing.assert_allclose(array(layer.adapt(data)(X)), wanted, rtol=1e-4, atol=1e-4)
    new = samples(50, seed=7)
    np.testing.assert_allclose(array(layer(new)), peer.transform(np.float64(new)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("components", [1, 3, 5])
def test_equals_the_left_singular_vectors(components):
    centered = np.float64(X) - np.float64(X).mean(axis=0)
    left, _, axes = np.linalg.svd(centered, full_matrices=False)
    signs = np.sign([max(axis, key=abs) for axis in axes])
    wanted = left * np.sqrt(len(X) - 1) * signs
    y = array(PCAWhitening(components).adapt(X)(X))
    np.testing.assert_allclose(y, wanted[:, :components], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("components", [2, None])
def test_the_outputs_are_uncorrelated_and_of_variance_1(components):
    y = np.float64(array(PCAWhitening(components).adapt(X)(X)))
    np.testing.assert_allclose(np.cov(y, rowvar=False), np.eye(components or 5), atol=1e-4)
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-5)


@pytest.mark.parametrize("epsilon", [0.1, 10])
def test_epsilon_shrinks_each_axis_by_its_share(epsilon):
    values = np.linalg.eigvalsh(np.cov(np.float64(X), rowvar=False))[::-1]
    y = np.float64(array(PCAWhitening(epsilon=epsilon).adapt(X)(X)))
    np.testing.assert_allclose(np.cov(y, rowvar=False), np.diag(values / (values + epsilon)), atol=1e-4)


def test_images_are_flattened(tmp_path):
    images = np.random.default_rng(0).normal(size=(200, 2, 3, 2)).astype(np.float32)
    layer = PCAWhitening(4).adapt(images, batch_size=30)
    flat = PCAWhitening(4).adapt(images.reshape(200, 12))
    np.testing.assert_allclose(array(layer(images)), array(flat(images.reshape(200, 12))), atol=1e-5)
    assert layer.compute_output_shape((None, 2, 3, 2)) == (None, 4)
    assert PCAWhitening().compute_output_shape((7, 2, 3, 2)) == (7, 12)
    inputs = keras.Input((2, 3, 2))
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, 4)
    loaded = reloaded(model, tmp_path)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), array(layer(images)), atol=1e-5)
    assert loaded.layers[-1].components == 4


SUM = np.column_stack([X[:, :3], X[:, 0] + X[:, 1]])  # Rounded to float32, so not exactly of rank 3.


@pytest.mark.parametrize(
    "data",
    [
        SUM,
        np.float64(SUM),
        np.column_stack([X[:, :3], X[:, 0]]),
        np.column_stack([X[:, :3], np.full(500, 7.0)]),
        np.column_stack([X[:, :3], 1 - np.abs(X[:, :3]).sum(axis=1) + np.abs(X[:, :3]).sum(axis=1)]),
        np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, 500)],
        (lambda parts: parts / parts.sum(axis=1, keepdims=True))(np.random.default_rng(0).random((500, 4), np.float32)),
        (np.random.default_rng(0).random((500, 3)) @ np.ones((3, 4)) / 3).astype(np.float32) + 1000,
        X[:4, :4],
    ],
    ids=["sum", "float64", "twice", "constant", "nearly constant", "one hot", "shares", "rank 1", "four samples"],
)
def test_data_that_do_not_vary_along_an_axis_are_refused(data):
    layer = PCAWhitening()
    with pytest.raises(InputError) as error:
        layer.adapt(data, batch_size=100)
    message = str(error.value)
    assert "of 4 axes, which cannot be made to have variance 1. Received: epsilon=0.0. Set `epsilon` above" in message
    with pytest.raises(InputError, match="must be adapted to data first"):
        layer(np.float32(data))
    # The remedies.
    lifted = np.float64(array(PCAWhitening(epsilon=0.1).adapt(data)(np.float32(data))))
    assert np.abs(lifted).max() < 100
    kept = np.float64(array(PCAWhitening(1).adapt(data)(np.float32(data))))
    np.testing.assert_allclose(kept.var(ddof=1), 1.0, rtol=1e-3)


def test_features_of_unlike_units_are_not_taken_for_flat():
    # Deviations from 0.01 to 1e5: float32 holds each by itself.
    x = np.random.default_rng(0).normal(0.0, [1e5, 1.0, 0.01], size=(2000, 3)).astype(np.float32)
    y = np.float64(array(PCAWhitening().adapt(x)(x)))
    np.testing.assert_allclose(np.cov(y, rowvar=False), np.eye(3), atol=0.01)
    # And a deviation of 1 on top of 100,000.
    x = np.random.default_rng(0).normal(1e5, 1.0, size=(2000, 3)).astype(np.float32)
    y = np.float64(array(PCAWhitening().adapt(x)(x)))
    np.testing.assert_allclose(np.cov(y, rowvar=False), np.eye(3), atol=0.01)


def test_more_components_than_features_are_refused_and_can_be_mended():
    with pytest.raises(InputError) as error:
        PCAWhitening(6).adapt(X)
    assert str(error.value) == "`components` must be at most 5, the features. Received: 6."
    layer = PCAWhitening(6)
    with pytest.raises(InputError, match="`components` must be at most 5"):
        layer.adapt(X)
    layer.adapt(samples(features=6))
    assert [variable.name for variable in layer.variables] == ["mean", "matrix"]
    assert array(layer(samples(features=6))).shape == (500, 6)


def test_one_sample_has_no_covariance():
    with pytest.raises(InputError, match="A covariance needs at least two rows"):
        PCAWhitening().adapt(X[:1])


def test_inputs_of_unknown_shape_are_refused():
    with pytest.raises(InputError) as error:
        PCAWhitening()(keras.Input((None, 3)))
    assert str(error.value) == "PCAWhitening needs inputs of a known shape. Received: (None, None, 3)."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"components": 0}, "`components` must be a whole number >= 1. Received: components=0."),
        ({"components": 2.0}, "`components` must be a whole number >= 1. Received: components=2.0."),
        ({"components": 0.95}, "`components` must be a whole number >= 1. Received: components=0.95."),
        ({"epsilon": -1e-9}, "`epsilon` must be a number >= 0. Received: epsilon=-1e-09."),
        ({"epsilon": None}, "`epsilon` must be a number >= 0. Received: epsilon=None."),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        PCAWhitening(**arguments)
    assert str(error.value) == message
