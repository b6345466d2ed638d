"""Whitening matrices: what they must do to a covariance, by NumPy and by scikit-learn's decomposition."""

import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.preprocessing.whitening import pca_whitening_matrix, principal_components, zca_whitening_matrix


def data(count=400, features=6, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, features)) @ generator.normal(size=(features, features)) + 3.0


def flat_data(count=400):
    """Five features of which the last is the sum of the first two."""
    x = data(count, 4)
    return np.column_stack([x, x[:, 0] + x[:, 1]])


X = data()
C = np.cov(X, rowvar=False)


def test_components_are_the_singular_vectors_of_the_data():
    values, vectors = principal_components(C)
    _, singular, transposed = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(values, singular**2 / (len(X) - 1), rtol=1e-9)
    np.testing.assert_allclose(np.abs(vectors), np.abs(transposed.T), atol=1e-9)
    np.testing.assert_allclose(C @ vectors, vectors * values, atol=1e-9)
    assert (np.diff(values) < 0).all()


def test_signs_are_those_of_scikit_learn():
    decomposition = pytest.importorskip("sklearn.decomposition")
    for seed in range(5):
        x = data(seed=seed)
        found = principal_components(np.cov(x, rowvar=False))[1]
        np.testing.assert_allclose(found, decomposition.PCA().fit(x).components_.T, atol=1e-8)


def test_the_largest_element_of_each_vector_is_positive():
    for seed in range(5):
        _, vectors = principal_components(np.cov(data(seed=seed), rowvar=False))
        assert all(max(column, key=abs) > 0 for column in vectors.T)


def test_roundings_negative_eigenvalues_are_0():
    values, _ = principal_components(np.diag([2.0, -1e-17]))
    assert values.tolist() == [2.0, 0.0]


def test_pca_makes_the_covariance_the_identity():
    w = pca_whitening_matrix(C)
    np.testing.assert_allclose(w.T @ C @ w, np.eye(6), atol=1e-9)
    # Each axis is an eigenvector of length 1 / deviation.
    np.testing.assert_allclose(1 / np.sum(w**2, axis=0), np.linalg.eigvalsh(C)[::-1], rtol=1e-9)


@pytest.mark.parametrize("components", [1, 3, 6, np.int64(2)])
def test_fewer_components_are_the_first_ones(components):
    np.testing.assert_array_equal(pca_whitening_matrix(C, components), pca_whitening_matrix(C)[:, :components])


def test_zca_is_the_symmetric_inverse_root():
    w = zca_whitening_matrix(C)
    np.testing.assert_allclose(w @ C @ w, np.eye(6), atol=1e-9)
    np.testing.assert_allclose(w, w.T, atol=1e-12)
    assert np.linalg.eigvalsh(w).min() > 0, "of the roots, the positive one"


def test_zca_changes_the_data_least():
    # Among W = Z Q, Q any rotation, all of which whiten, Z is the nearest to the identity in what it does to the data.
    def change(w):
        return np.trace((w - np.eye(6)).T @ C @ (w - np.eye(6)))

    zca = zca_whitening_matrix(C)
    least = change(zca)
    assert change(pca_whitening_matrix(C)) > least
    for seed in range(20):
        rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
        assert change(zca @ rotation) > least


@pytest.mark.parametrize("epsilon", [0.1, 3])
def test_epsilon_is_added_to_the_eigenvalues(epsilon):
    values = np.linalg.eigvalsh(C)[::-1]
    for w in (pca_whitening_matrix(C, epsilon=epsilon), zca_whitening_matrix(C, epsilon=epsilon)):
        found = np.sort(np.linalg.eigvalsh(w.T @ C @ w))[::-1]
        np.testing.assert_allclose(found, values / (values + epsilon), rtol=1e-9)
    lifted = C + epsilon * np.eye(6)
    zca = zca_whitening_matrix(C, epsilon=epsilon)
    np.testing.assert_allclose(zca @ lifted @ zca, np.eye(6), atol=1e-9)


WHITENINGS = pytest.mark.parametrize("whitening", [pca_whitening_matrix, zca_whitening_matrix])


@WHITENINGS
def test_data_that_do_not_vary_along_an_axis_are_refused(whitening):
    matrix = np.cov(flat_data(), rowvar=False)
    with pytest.raises(InputError) as error:
        whitening(matrix)
    message = str(error.value)
    assert message.startswith("The data do not vary along 1 of 5 axes, which cannot be made to have variance 1.")
    assert "Received: epsilon=0.0. Set `epsilon` above " in message and "keep fewer axes by PCA" in message
    assert np.isfinite(whitening(matrix, epsilon=1e-3)).all()
    w = pca_whitening_matrix(matrix, components=4)
    np.testing.assert_allclose(w.T @ matrix @ w, np.eye(4), atol=1e-9)


@WHITENINGS
def test_the_epsilon_of_the_message_is_enough(whitening):
    matrix = np.cov(flat_data(), rowvar=False)
    with pytest.raises(InputError) as error:
        whitening(matrix)
    named = float(str(error.value).split("Set `epsilon` above ")[1].split(",")[0])
    assert np.isfinite(whitening(matrix, epsilon=2 * named)).all()


@WHITENINGS
@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3)), np.diag([1.0, 0.0, 2.0]), np.diag([1.0, 1e-20, 2.0])], ids=["zero", "constant", "tiny"]
)
def test_constants_are_refused(whitening, matrix):
    flat = int((np.diag(matrix) < 1e-10).sum())
    with pytest.raises(InputError, match=f"do not vary along {flat} of 3 axes"):
        whitening(matrix)


@WHITENINGS
def test_an_axis_that_varies_as_its_rounding_does_is_refused(whitening):
    # A feature of 1,000 in float32 is rounded by up to 3e-5, so a variance of 1e-9 across features of it is no data's.
    matrix, rounding = np.diag([1.0, 1e-9]), np.array([1e-8, 1e-8])
    assert np.isfinite(whitening(matrix)).all()
    with pytest.raises(InputError, match="do not vary along 1 of 2 axes"):
        whitening(matrix, rounding=rounding)
    # The rounding of one feature is none of another's.
    assert np.isfinite(whitening(matrix, rounding=np.array([1e-8, 1e-12]))).all()
    np.testing.assert_array_equal(whitening(matrix, rounding=np.zeros(2)), whitening(matrix))


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros(3),
        np.zeros((2, 3)),
        np.zeros((1, 3)),
        np.zeros((0, 0)),
        np.zeros((2, 2, 2)),
        np.array([[1.0, 2.0], [0.0, 1.0]]),
        np.array([[1.0, np.nan], [np.nan, 1.0]]),
        np.diag([1.0, np.inf]),
    ],
    ids=lambda matrix: str(matrix.shape),
)
@pytest.mark.parametrize("function", [principal_components, pca_whitening_matrix, zca_whitening_matrix])
def test_what_is_no_covariance_is_refused(function, matrix):
    with pytest.raises(InputError) as error:
        function(matrix)
    assert str(error.value) == f"`matrix` must be a finite symmetric matrix. Received: shape {matrix.shape}."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"components": 7}, "`components` must be at most 6, the features. Received: 7."),
        ({"components": 0}, "`components` must be a whole number >= 1. Received: components=0."),
        ({"components": 2.0}, "`components` must be a whole number >= 1. Received: components=2.0."),
        ({"epsilon": -0.1}, "`epsilon` must be a number >= 0. Received: epsilon=-0.1."),
        ({"epsilon": float("nan")}, "`epsilon` must be a number >= 0. Received: epsilon=nan."),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        pca_whitening_matrix(C, **arguments)
    assert str(error.value) == message
    if "epsilon" in arguments:
        with pytest.raises(InputError, match="`epsilon` must be a number >= 0"):
            zca_whitening_matrix(C, **arguments)
