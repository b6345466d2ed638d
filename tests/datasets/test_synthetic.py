import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.datasets import synthetic
from kerastrain.datasets.shapes import SHAPES


@pytest.fixture(scope="module")
def drawn():
    return synthetic.load_data(train=2000, test=500, seed=0)


def test_shapes_dtypes_and_equal_classes(drawn):
    (x_train, y_train), (x_test, y_test) = drawn
    assert x_train.shape == (2000, 32, 32, 3)
    assert x_train.dtype == y_train.dtype == np.uint8
    assert np.bincount(y_train).tolist() == [200] * 10
    assert np.bincount(y_test).tolist() == [50] * 10
    assert len(synthetic.CLASS_NAMES) == 10
    assert x_test.shape == (500, 32, 32, 3)


def digest(arrays):
    (x_train, y_train), (x_test, y_test) = arrays
    return hashlib.sha256(b"".join(array.tobytes() for array in (x_train, y_train, x_test, y_test))).hexdigest()


def test_the_seed_decides_and_the_test_set_does_not_follow_the_training_set(drawn):
    again = synthetic.load_data(train=2000, test=500, seed=0)
    assert digest(again) == digest(drawn)
    np.testing.assert_array_equal(synthetic.load_data(train=10, test=500, seed=0)[1][0], drawn[1][0])
    assert not np.array_equal(synthetic.load_data(train=10, test=500, seed=1)[1][0], drawn[1][0])
    assert len(np.unique(drawn[0][0].reshape(2000, -1), axis=0)) == 2000


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_processor_s_vector_units():
    program = (
        "import hashlib; from kerastrain.datasets import synthetic;"
        "print(hashlib.sha256(synthetic.load_data(train=300, test=10, seed=3)[0][0].tobytes()).hexdigest())"
    )
    expected = hashlib.sha256(synthetic.load_data(train=300, test=10, seed=3)[0][0].tobytes()).hexdigest()
    off = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V3 X86_V4"
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": off}
    run = [sys.executable, "-W", "ignore", "-c", program]
    result = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == expected


def test_mean_color_tells_nothing(drawn):
    """The class with the nearest mean color is right about one time in ten; three standard deviations are 0.04."""
    (x_train, y_train), (x_test, y_test) = drawn
    train, test = x_train.mean(axis=(1, 2)), x_test.mean(axis=(1, 2))
    centers = np.stack([train[y_train == label].mean(axis=0) for label in range(10)])
    nearest = np.square(test[:, np.newaxis] - centers).sum(axis=-1).argmin(axis=1)
    assert np.mean(nearest == y_test) < 0.15


def test_areas_of_the_shapes_are_those_of_geometry():
    """Areas in a square of side 5, which is 8 texture periods, from the formulas of plane geometry."""
    grid = ((np.arange(1000) + 0.5) / 200 - 2.5).astype(np.float32)
    x, y = np.meshgrid(grid, grid)
    # Of regular figures with inner radius r: the triangle has 3 sqrt(3) r^2, the pentagon 5 tan(36 degrees) r^2.
    expected = {
        "disk": np.pi * 0.9**2,
        "square": 1.6**2,
        "triangle": 3 * np.sqrt(3) * 0.55**2,
        "cross": 2 * 2.0 * 0.6 - 0.6**2,
        "ring": np.pi * (0.97**2 - 0.53**2),
        "star": 5 * 0.38**2 * np.tan(np.pi / 5) * (1 + np.sqrt(5)),  # pentagon 1, its points sqrt(5)
        "stripes": 25 / 2,
        "checkerboard": 25 / 2,
        "dots": 64 * np.pi * (0.28 / 1.6) ** 2,
    }
    for shape in SHAPES:
        if shape.__name__ in expected:
            area = 25 * np.mean(shape(x, y) < 0)
            assert area == pytest.approx(expected[shape.__name__], rel=0.01), shape.__name__


def test_other_sizes():
    assert synthetic.load_data(train=10, test=10, size=48)[0][0].shape == (10, 48, 48, 3)


@pytest.mark.parametrize("name, value", [("train", 9), ("test", 0), ("size", 15), ("train", 1.5), ("test", True)])
def test_arguments_out_of_range(name, value):
    with pytest.raises(InputError, match=f"`{name}` must be an int >="):
        synthetic.load_data(**{name: value})
