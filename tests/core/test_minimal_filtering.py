"""Winograd's minimal filtering: NumPy's correlation from its matrices, and how far float32 is off by it."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, array

from kerastrain._core import machine, minimal_filtering, onednn

pytestmark = pytest.mark.backend
TILES = range(2, 9)


@pytest.mark.parametrize("tile", TILES)
def test_a_tile_is_numpys_correlation_in_as_many_products_as_points(tile):
    generator = np.random.default_rng(tile)
    inputs, taps = generator.normal(size=tile + 2), generator.normal(size=3)
    outputs_of, taps_of, inputs_of = minimal_filtering.matrices(tile)
    products = (taps_of @ taps) * (inputs_of @ inputs)
    assert products.shape == (tile + 2,)
    np.testing.assert_allclose(outputs_of @ products, np.correlate(inputs, taps, "valid"), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("length", "tile"),
    [(2, 2), (3, 3), (4, 4), (5, 5), (7, 7), (8, 8), (11, 6), (15, 5), (16, 8), (24, 6), (28, 7), (32, 8)],
)
def test_an_axis_is_cut_into_tiles_with_few_points_in_all(length, tile):
    assert minimal_filtering.tile_for(length) == tile


def correlated(images, kernel):
    """By NumPy in float64, with a margin of one zero."""
    images, kernel = np.float64(images), np.float64(kernel)
    wide = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    height, width = images.shape[1:3]
    return sum(wide[:, m : m + height, n : n + width] @ kernel[m, n] for m in range(3) for n in range(3))


@pytest.mark.parametrize(
    ("side", "least", "most"), [(2, 0, 1e-6), (4, 2e-7, 2e-6), (7, 2e-6, 1.2e-5), (16, 4e-6, 3e-5)]
)
def test_float32_is_off_by_what_the_docstring_says(side, least, most):
    """In root mean square of the outputs; more than float32's own 3e-7, for it would not be Winograd's if less."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(8, side, side, 64)).astype(np.float32)
    kernel = (generator.normal(size=(3, 3, 64, 8)) / 24).astype(np.float32)
    tensors = [keras.ops.convert_to_tensor(value) for value in (images, kernel)]
    found, expected = array(minimal_filtering.convolved(*tensors, "same")), correlated(images, kernel)
    assert least < np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < most


@pytest.fixture
def processor(monkeypatch):
    """Says which flags the processor has, and whether TensorFlow uses oneDNN."""

    def is_one(*flags, by_onednn=True):
        monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(onednn, "in_use", lambda: by_onednn)
        minimal_filtering._is_measured.cache_clear()

    is_one("avx2")
    yield is_one
    minimal_filtering._is_measured.cache_clear()


def largest(channels, filters, dtype="float32", images=16):
    found = minimal_filtering.largest_side(keras.ops.zeros((images, 8, 8, channels), dtype), filters)
    return min(found, 1000)


def test_it_pays_where_channels_and_filters_are_enough(processor):
    found = [largest(count, count) for count in (8, 16, 32, 64)]
    # 24 and 64 are as much work between the matrices, for their own, as 35 and 35.
    found.append(largest(24, 64))
    assert (
        found
        == {
            "tensorflow": [0, 0, 16, 32, 17],
            "jax": [0, 1000, 1000, 1000, 1000],
            "torch": [0, 0, 0, 1000, 0],
        }[BACKEND]
    )
    assert largest(64, 64, images=15) == largest(64, 64, "float16") == largest(64, 64, "bfloat16") == 0
    assert minimal_filtering.largest_side(keras.KerasTensor((None, 8, 8, 64)), 64) == 0
    processor("avx2", by_onednn=False)
    assert largest(64, 64) == (16 if BACKEND == "tensorflow" else 1000)
    for flags in ([], ["avx2", "avx512f"]):
        processor(*flags)
        assert largest(64, 64) == 0


@pytest.mark.skipif(BACKEND != "jax", reason="the backend of keras.distribution")
def test_images_that_are_spread_over_devices_were_not_measured(processor):
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=["cpu:0"]))
    try:
        assert largest(64, 64) == 0
    finally:
        keras.distribution.set_distribution(None)
    assert largest(64, 64) > 0
