"""What all layers that learn from data share: each row against NumPy, on every backend."""

import gc
import itertools

import keras
import numpy as np
import pytest
from adapted_rows import EVERY, ROWS, check, expected, model_of, samples
from layer_probes import BACKEND, array

from kerastrain._core.errors import InputError

pytestmark = pytest.mark.backend


class Pairs(keras.utils.PyDataset):
    num_batches = 5

    def __getitem__(self, index):
        return samples()[12 * index : 12 * index + 12], np.zeros(12)


def batches(sizes=(1, 30, 4, 25)):
    return np.split(samples(), np.cumsum(sizes)[:-1])


DATA = {
    "array": lambda: samples(),
    "float64": lambda: np.float64(samples()),
    "tensor": lambda: keras.ops.convert_to_tensor(samples()),
    "list": lambda: batches(),
    "generator": lambda: (batch for batch in batches()),
    "labels": lambda: ((batch, np.zeros(len(batch))) for batch in batches()),
    "PyDataset": lambda: Pairs(),
}


@EVERY
@pytest.mark.parametrize("data", DATA)
def test_adapted_to(row, data):
    layer = ROWS[row][0]()
    assert layer.adapt(DATA[data](), batch_size=7) is layer
    unseen = samples(9, seed=5)
    check(row, layer(samples()), samples(), samples())
    check(row, layer(unseen), unseen, samples())


@EVERY
@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data")
def test_adapted_to_a_tensorflow_dataset(row):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((samples(), np.zeros(60))).batch(25)
    check(row, ROWS[row][0]().adapt(dataset)(samples()), samples(), samples())


@EVERY
@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data")
def test_used_inside_a_tensorflow_dataset(row):
    import tensorflow as tf

    layer = ROWS[row][0]().adapt(samples())
    dataset = tf.data.Dataset.from_tensor_slices(samples()).batch(25).map(layer)
    check(row, np.concatenate([batch.numpy() for batch in dataset]), samples(), samples())


@EVERY
def test_steps_bound_the_batches(row):
    asked = []

    def endless():
        for index in itertools.count():
            asked.append(index)
            yield samples(20, seed=index)

    layer = ROWS[row][0]().adapt(endless(), steps=3)
    assert asked == [0, 1, 2]
    check(row, layer(samples()), samples(), np.concatenate([samples(20, seed=seed) for seed in range(3)]))
    check(row, ROWS[row][0]().adapt(samples(), batch_size=8, steps=2)(samples()), samples(), samples()[:16])


@EVERY
def test_adapting_again_forgets(row):
    layer = ROWS[row][0]().adapt(100 * samples(seed=3))
    layer(samples())
    layer.adapt(samples())
    check(row, layer(samples()), samples(), samples())


@EVERY
def test_what_could_not_be_adapted_to_changes_nothing(row):
    layer = ROWS[row][0]().adapt(samples())
    for bad in ([samples(), samples() * np.nan], [samples(), samples()[:, :3]], [], np.zeros((0, 4))):
        with pytest.raises(InputError):
            layer.adapt(bad)
        check(row, layer(samples()), samples(), samples())


@EVERY
def test_batches_are_let_go(row):
    # Data larger than memory: of 50 batches never more than two are there at once (the one in use and the next).
    alive, most = [0], [0]

    class Batch(np.ndarray):
        def __del__(self):
            if self.base is None:
                alive[0] -= 1

    def many():
        for seed in range(50):
            batch = np.ndarray.__new__(Batch, (16, 4))
            batch[...] = samples(16, seed=seed)
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            yield batch
            del batch

    layer = ROWS[row][0]().adapt(many())
    gc.collect()
    assert most[0] <= 2 and alive[0] == 0
    check(row, layer(samples()), samples(), np.concatenate([samples(16, seed=seed) for seed in range(50)]))


@EVERY
def test_weights_are_float32_and_not_trained(row):
    layer = ROWS[row][0]().adapt(samples())
    assert layer.trainable_variables == []
    assert [variable.name for variable in layer.non_trainable_variables] == ROWS[row][2]
    assert [variable.path for variable in layer.variables] == [f"{layer.name}/{name}" for name in ROWS[row][2]]
    assert {keras.backend.standardize_dtype(variable.dtype) for variable in layer.variables} == {"float32"}


def of_uint8():
    return np.random.default_rng(0).integers(0, 256, size=(60, 3, 2, 2), dtype=np.uint8)


@EVERY
def test_whole_numbers_do_not_wrap_around(row):
    x = of_uint8()
    layer = ROWS[row][0]().adapt(x)
    seen = np.float64(x)
    if row in ("pca", "zca"):
        flat = expected(row, seen.reshape(60, -1), seen.reshape(60, -1))
        wanted = flat.reshape(x.shape) if row == "zca" else flat
    else:
        wanted = expected(row, seen.reshape(-1, 2), seen.reshape(-1, 2)).reshape(x.shape)
    assert np.abs(wanted).max() > 0.5
    for inputs in (x, keras.ops.convert_to_tensor(x), x.astype(np.int32)):
        outputs = layer(inputs)
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
        np.testing.assert_allclose(array(outputs), wanted, rtol=1e-4, atol=1e-4)
    model = keras.Sequential([keras.Input(x.shape[1:], dtype="uint8"), layer])
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, rtol=1e-4, atol=1e-4)


@EVERY
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_precision_is_of_the_output_only(row, policy):
    # 70,000 is infinite in float16, and 70,000 + 1 is 70,000 in both.
    x = samples() + np.float32(70_000)
    layer = ROWS[row][0](dtype=policy).adapt(x)
    outputs = layer(x)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    close = 0.02 if "b" in policy else 0.005
    np.testing.assert_allclose(array(outputs), expected(row, x, x), rtol=close, atol=0.02)
    symbolic = layer(keras.KerasTensor((None, 4)))
    assert symbolic.dtype == layer.compute_dtype


@EVERY
def test_float64_stays(row):
    layer = ROWS[row][0](dtype="float64").adapt(samples())
    if BACKEND != "jax":  # JAX has no float64 unless it is told to.
        assert keras.backend.standardize_dtype(layer(samples()).dtype) == "float64"
    check(row, layer(samples()), samples(), samples())


@pytest.mark.parametrize("row", ["scaling", "zca"])
@pytest.mark.parametrize(
    ("data", "arguments", "expectation"),
    [
        (list, {}, "`data` must have at least one sample. Received: none."),
        (lambda: np.zeros((0, 4)), {}, "`data` must have at least one sample. Received: none."),
        (lambda: [np.zeros((0, 4))] * 2, {}, "`data` must have at least one sample. Received: none."),
        (lambda: samples() * np.nan, {}, "`data` must be finite numbers. Received: NaN or infinity among them."),
        (lambda: [samples(), samples() * np.inf], {}, "`data` must be finite numbers. Received: NaN or infinity"),
        (lambda: samples()[:, 0], {}, "`data` must be samples (samples, ..., features). Received: shape (60,)."),
        (
            lambda: [samples(), samples()[:, :3]],
            {},
            "Every batch must have the shape (4,) of the first. Received: (3,)",
        ),
        (
            lambda: [samples(), samples()[:, None]],
            {},
            "Every batch must have the shape (4,) of the first. Received: (1",
        ),
        (lambda: {"a": samples()}, {}, "is for one input. Received: a dictionary of a. Give each input its own layer"),
        (lambda: [({"a": samples(), "b": 1}, 0)], {}, "is for one input. Received: a dictionary of a, b."),
        (lambda: 3, {}, "`data` must be arrays, a PyDataset or an iterable of batches. Received: 3."),
        (lambda: samples(), {"batch_size": 0}, "`batch_size` must be a whole number >= 1. Received: batch_size=0."),
        (lambda: samples(), {"steps": 0}, "`steps` must be a whole number >= 1. Received: steps=0."),
        (lambda: samples(), {"steps": 1.5}, "`steps` must be a whole number >= 1. Received: steps=1.5."),
    ],
)
def test_data_that_say_nothing_are_refused(row, data, arguments, expectation):
    layer = ROWS[row][0]()
    with pytest.raises(InputError) as error:
        layer.adapt(data(), **arguments)
    assert expectation in str(error.value)
    with pytest.raises(InputError, match="must be adapted to data first"):
        layer(samples())


@EVERY
@pytest.mark.parametrize("shape", [(60, 5), (60, 4, 4), (60, 1)])
def test_data_of_another_shape_than_the_models_are_refused(row, shape):
    layer = ROWS[row][0](name="own")
    model = model_of(layer)
    with pytest.raises(InputError) as error:
        layer.adapt(np.ones(shape))
    assert str(error.value) == f"`data` must have the shape (4,) that `own` was built for. Received: {shape[1:]}."
    layer.adapt(samples())
    # And so are inputs: (3, 8) would be six samples of four features, reshaped.
    for inputs in (np.ones((3, 8), np.float32), np.ones((3, 4, 4), np.float32)):
        with pytest.raises(ValueError, match="incompatible with the layer"):
            layer(inputs)
    check(row, model.predict(samples(), verbose=0), samples(), samples())
