import keras
import numpy as np
import pytest

from kerastrain._core import tensor_lists

BACKEND = keras.backend.backend()
ARRAYS = [
    np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    for seed, shape in enumerate([(4, 3), (5,), (2, 1, 2)])
] + [np.array(-0.5, np.float32)]


def tensors(arrays):
    return [keras.ops.convert_to_tensor(one) for one in arrays]


def array(tensor):
    return np.array(keras.ops.convert_to_numpy(tensor))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has IndexedSlices")
def test_repeated_rows_are_added_up():
    tf = pytest.importorskip("tensorflow")
    rows, ids = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32), [3, 0, 3, 3, 1]
    expected = np.zeros((6, 2))
    np.add.at(expected, ids, rows)
    found = tensor_lists.dense(tf.IndexedSlices(tf.constant(rows), tf.constant(ids), tf.constant([6, 2])))
    np.testing.assert_allclose(array(found), expected, rtol=1e-6)


@pytest.mark.backend
def test_a_dense_gradient_is_passed_on():
    (tensor,) = tensors(ARRAYS[:1])
    assert tensor_lists.dense(tensor) is tensor


@pytest.mark.backend
def test_squared_norms():
    expected = [np.sum(np.float64(one) ** 2) for one in ARRAYS]
    found = array(tensor_lists.squared_norms(tensors(ARRAYS)))
    assert (found.shape, found.dtype) == ((4,), np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.backend
def test_squared_norms_of_float16_are_taken_in_float32():
    # Of 100 elements, 300 ** 2 is beyond float16 already.
    found = array(tensor_lists.squared_norms(tensors([np.full((10, 10), 300.0, np.float16)])))
    np.testing.assert_allclose(found, [9e6], rtol=1e-6)


@pytest.mark.backend
def test_a_norm_beyond_float32_is_infinite_and_a_nan_is_a_nan():
    bad = [np.float32([1e20]), np.float32([np.inf, 1.0]), np.float32([np.nan, 1.0]), np.float32([2.0])]
    np.testing.assert_array_equal(array(tensor_lists.squared_norms(tensors(bad))), [np.inf, np.inf, np.nan, 4.0])


@pytest.mark.backend
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", range(len(ARRAYS)))
def test_one_element_decides_whether_all_are_finite(place, bad):
    arrays = [one.copy() for one in ARRAYS]
    assert array(tensor_lists.all_finite(tensors(arrays))).tolist() is True
    arrays[place].reshape(-1)[-1] = bad
    assert array(tensor_lists.all_finite(tensors(arrays))).tolist() is False


@pytest.mark.backend
@pytest.mark.parametrize("dtypes", [["float32"] * 4, ["float32", "float16", "float32", "float16"]], ids=["one", "two"])
def test_scaled_keeps_each_dtype(dtypes):
    given = [one.astype(dtype) for one, dtype in zip(ARRAYS, dtypes, strict=True)]
    found = [array(one) for one in tensor_lists.scaled(tensors(given), keras.ops.convert_to_tensor(np.float32(0.25)))]
    for one, before in zip(found, given, strict=True):
        assert one.dtype == before.dtype
        np.testing.assert_array_equal(one, before * before.dtype.type(0.25))  # By a power of 2: exact.


def pairs(dtype="float32"):
    targets = [keras.Variable(one, dtype=dtype) for one in ARRAYS]
    sources = [keras.Variable(one[..., ::-1] * 3 if one.ndim else one * 3, dtype=dtype) for one in ARRAYS]
    return targets, sources, [array(one) for one in targets], [array(one) for one in sources]


@pytest.mark.backend
@pytest.mark.parametrize("decay", [0.0, 0.1, 0.999, 1.0])
def test_blend_into(decay):
    targets, sources, before, given = pairs()
    tensor_lists.blend_into(targets, sources, keras.ops.convert_to_tensor(np.float32(decay)))
    for target, source, start, value in zip(targets, sources, before, given, strict=True):
        np.testing.assert_array_equal(array(source), value)
        if decay in (0.0, 1.0):
            np.testing.assert_array_equal(array(target), start if decay else value)
        else:
            expected = decay * np.float64(start) + (1 - decay) * np.float64(value)
            np.testing.assert_allclose(array(target), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.backend
@pytest.mark.parametrize(("dtype", "spacing"), [("float16", 2.0**-10), ("bfloat16", 2.0**-7)])
def test_blend_into_of_half_precision_is_rounded_one_time(dtype, spacing):
    # 0.9375 of 1.5 and 0.0625 of 1.9: no sum of rounded parts. And what does not change has to stay: a decay of 0.99 is
    # 0.9922 in bfloat16, and with 0.01 beside it a weight would grow.
    target, source = keras.Variable([1.5, 1.984375], dtype=dtype), keras.Variable([1.90625, 1.984375], dtype=dtype)
    for decay in (0.99, 0.999, 0.97):
        start = np.float64(array(target).astype(np.float32))
        tensor_lists.blend_into([target], [source], decay)
        expected = decay * start + (1 - decay) * np.array([1.90625, 1.984375])
        found = np.float64(array(target).astype(np.float32))
        assert np.abs(found - expected).max() <= spacing / 2 + 1e-6
        assert found[1] == 1.984375
    assert keras.backend.standardize_dtype(target.dtype) == dtype


@pytest.mark.backend
def test_copy_into_copies():
    targets, sources, _, given = pairs()
    tensor_lists.copy_into(targets, sources)
    for target, source, value in zip(targets, sources, given, strict=True):
        np.testing.assert_array_equal(array(target), value)
        source.assign(array(source) + 1.0)
        np.testing.assert_array_equal(array(target), value)


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX donates buffers")
@pytest.mark.backend
def test_what_was_copied_can_be_donated_beside_its_source():
    import jax

    def sums_and_differences(ones, others):
        both = list(zip(ones, others, strict=True))
        return [one + other for one, other in both], [one - other for one, other in both]

    targets, sources, _, given = pairs()
    tensor_lists.copy_into(targets, sources)
    donating = jax.jit(sums_and_differences, donate_argnums=(0, 1))
    sums, _ = donating([target.value for target in targets], [source.value for source in sources])
    for found, value in zip(sums, given, strict=True):
        np.testing.assert_allclose(np.array(found), 2 * value)
