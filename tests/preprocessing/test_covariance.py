"""The streaming covariance against NumPy's."""

import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.preprocessing.covariance import Covariance, covariance


def rows(count=1000, features=5, mean=0.0, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, features)) @ generator.normal(size=(features, features)) + mean


def unequal_batches(x):
    return np.split(x, [1, 3, 3, 250, 251, 900])


@pytest.mark.parametrize("mean", [0.0, -7.0, 1e6], ids=str)
@pytest.mark.parametrize(
    "batches", [unequal_batches, lambda x: [x], lambda x: np.split(x, len(x))], ids=["unequal", "one", "single"]
)
def test_equals_numpys(mean, batches):
    x = rows(mean=mean)
    found_mean, matrix = covariance(batches(x))
    np.testing.assert_allclose(found_mean, x.mean(axis=0), rtol=1e-12, atol=1e-12)
    # From numbers of 1e6, float64 has 1e-10 of a deviation of 1: the rounding is in x, not in the sums.
    np.testing.assert_allclose(matrix, np.cov(x, rowvar=False), rtol=1e-9, atol=1e-9)
    assert found_mean.dtype == matrix.dtype == np.float64


def test_a_large_mean_does_not_cancel():
    # The same noise on top of 0 and of 1e6 (quarters of integers, so that the sums are exact) has one covariance.
    noise = np.random.default_rng(0).integers(-20, 20, size=(1024, 3)) / 4
    _, plain = covariance(np.split(noise, 8))
    _, lifted = covariance(np.split(noise + 1e6, 8))
    np.testing.assert_allclose(lifted, plain, rtol=1e-9, atol=1e-9)
    moved = noise + 1e6
    cancelled = (moved.T @ moved - len(moved) * np.outer(moved.mean(axis=0), moved.mean(axis=0))) / (len(moved) - 1)
    assert np.abs(cancelled / plain - 1).max() > 1e-7, "what the formula E[xx] - E[x]E[x] would give"


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32])
def test_narrow_numbers_are_summed_in_float64(dtype):
    x = np.random.default_rng(0).integers(0, 256, size=(500, 4)).astype(dtype)
    mean, matrix = covariance(np.array_split(x, 7))
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(matrix, np.cov(x.astype(np.float64), rowvar=False), rtol=1e-12)


def test_it_can_be_read_between_batches():
    x, seen = rows(30), Covariance()
    for start in range(0, 30, 10):
        seen.update(x[start : start + 10])
        assert seen.count == start + 10
        np.testing.assert_allclose(seen.matrix(), np.cov(x[: start + 10], rowvar=False), rtol=1e-12)


def test_the_callers_rows_are_not_changed():
    x = rows(10)
    before = x.copy()
    covariance([x])
    np.testing.assert_array_equal(x, before)


def test_batches_are_asked_for_one_by_one_and_let_go():
    alive = []

    class Batch(np.ndarray):
        def __del__(self):
            alive.remove(id(self))

    def batches():
        for seed in range(20):
            batch = rows(10, seed=seed).view(Batch)
            alive.append(id(batch))
            yield batch
            del batch
            assert len(alive) <= 2, "the one in use, and none of before"

    covariance(batches())


def test_empty_batches_change_nothing():
    x = rows(20)
    _, matrix = covariance([x[:0], x[:12], x[:0], x[12:]])
    np.testing.assert_allclose(matrix, np.cov(x, rowvar=False), rtol=1e-12)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "A covariance needs at least two rows. Received: 0."),
        ([np.zeros((1, 3))], "A covariance needs at least two rows. Received: 1."),
        ([np.zeros(3)], "`rows` must be an array (rows, features). Received: shape (3,)."),
        ([np.zeros((2, 3, 1))], "`rows` must be an array (rows, features). Received: shape (2, 3, 1)."),
        ([np.zeros((2, 3)), np.zeros((2, 4))], "`rows` must have 3 features, as before. Received: 4."),
        ([[[1.0, np.nan]]], "`rows` must be finite numbers. Received: NaN or infinity among them."),
        ([[[1.0, -np.inf]]], "`rows` must be finite numbers. Received: NaN or infinity among them."),
    ],
)
def test_what_has_no_covariance_is_refused(batches, message):
    with pytest.raises(InputError) as error:
        covariance(batches)
    assert str(error.value) == message


def test_a_refused_batch_leaves_what_was_seen():
    x, seen = rows(20), Covariance()
    seen.update(x)
    for bad in (np.full((2, 5), np.nan), np.zeros((2, 4)), np.zeros(5)):
        with pytest.raises(InputError):
            seen.update(bad)
    np.testing.assert_allclose(seen.matrix(), np.cov(x, rowvar=False), rtol=1e-12)
