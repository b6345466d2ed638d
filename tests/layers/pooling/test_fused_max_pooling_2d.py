"""Max pooling with a gradient of one pass: to the bits of Keras's layer and of PyTorch, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, differentiated

from kerastrain._core import max_pool
from kerastrain.layers import FusedMaxPooling2D

pytestmark = pytest.mark.backend

# Whole numbers of few values: most windows have their largest value twice.
TIES = np.random.default_rng(0).integers(0, 4, (5, 7, 9, 3)).astype(np.float32)
VALUES = np.random.default_rng(1).normal(size=(5, 7, 9, 3)).astype(np.float32)


def by_loops(x, factors, rows, columns):
    """Outputs and gradient, window by window in NumPy."""
    high, wide = x.shape[1] // rows, x.shape[2] // columns
    outputs, gradient = np.zeros((len(x), high, wide, x.shape[3])), np.zeros(x.shape)
    for b, i, j, c in np.ndindex(outputs.shape):
        window = x[b, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns, c]
        outputs[b, i, j, c] = window.max()
        row, column = np.unravel_index(window.argmax(), window.shape)
        gradient[b, i * rows + row, j * columns + column, c] = factors[b, i, j, c]
    return outputs, gradient


@pytest.mark.parametrize("pool_size", [2, (3, 2), (2, 4), (1, 1), (7, 1)])
@pytest.mark.parametrize("values", [TIES, VALUES], ids=["ties", "values"])
@pytest.mark.skipif(BACKEND == "jax", reason="of equal values JAX chooses another one")
def test_outputs_and_gradient_are_those_of_the_formula(pool_size, values):
    rows, columns = (pool_size, pool_size) if isinstance(pool_size, int) else pool_size
    factors = np.random.default_rng(2).normal(size=(5, 7 // rows, 9 // columns, 3)).astype(np.float32)
    layer = FusedMaxPooling2D(pool_size)
    found, [gradient], _ = differentiated(lambda x: keras.ops.multiply(layer(x), factors), [values])
    outputs, expected = by_loops(values, factors, rows, columns)
    np.testing.assert_allclose(found, outputs * factors, rtol=1e-6)
    np.testing.assert_array_equal(gradient, expected.astype(np.float32))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_it_is_kerass_layer_to_the_bit(dtype):
    # In half precision values that differ become equal, and the first of them counts on both sides.
    values = keras.ops.cast(VALUES, dtype)
    factors = keras.ops.cast(np.random.default_rng(3).normal(size=(5, 3, 4, 3)), dtype)
    (one, [gradient], _), (other, [expected], _) = (
        differentiated(lambda x, layer=layer: keras.ops.multiply(layer(x), factors), [values])
        for layer in (FusedMaxPooling2D(2, dtype=dtype), keras.layers.MaxPooling2D(2, dtype=dtype))
    )
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere it is Keras's own")
def test_the_one_pass_is_taken_where_it_fits_and_only_there(monkeypatch):
    calls = []
    pool = max_pool.max_pool
    monkeypatch.setattr(max_pool, "max_pool", lambda *a: calls.append(1) or pool(*a))
    FusedMaxPooling2D()(VALUES)
    FusedMaxPooling2D(4, strides=4)(VALUES)
    assert len(calls) == 2
    FusedMaxPooling2D(3, strides=2)(VALUES)
    FusedMaxPooling2D(2, padding="same")(VALUES)
    FusedMaxPooling2D(5)(VALUES)
    with pytest.raises(ValueError, match=r"rank|ndim"):
        FusedMaxPooling2D()(VALUES[0])
    assert len(calls) == 2


@pytest.mark.parametrize("jit", JITS)
def test_a_model_for_images_of_any_size_trains_as_with_kerass_layer(jit):
    ends = []
    for kind in (keras.layers.MaxPooling2D, FusedMaxPooling2D):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((None, None, 3)),
                keras.layers.Conv2D(4, 3),
                kind(),
                keras.layers.Conv2D(4, 2),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(1),
            ]
        )
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss="mse", jit_compile=jit)
        for side in (7, 9):
            images = np.resize(VALUES, (6, side, side, 3))
            model.fit(images, np.arange(6.0), batch_size=3, epochs=2, shuffle=False, verbose=0)
        ends.append([array(value) for value in model.weights])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
