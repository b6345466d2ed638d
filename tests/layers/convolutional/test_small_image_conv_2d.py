"""The convolution of small images: PyTorch's outputs and gradients, Keras's layer in training, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, array, differentiated

from kerastrain._core import machine, minimal_filtering, onednn, small_convolution
from kerastrain.errors import InputError
from kerastrain.layers import SmallImageConv2D

pytestmark = pytest.mark.backend
# Asked here, before a test gives the processor other flags.
BY_ONEDNN = BACKEND == "tensorflow" and onednn.computes_in("bfloat16")
ON_TENSORFLOW = pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere it is Keras's own")
POLICIES = {"bfloat16": "mixed_bfloat16", "float32": "float32"}


@pytest.fixture
def processor(monkeypatch):
    """Says which flags the processor has, whatever this one has: every one computes each way."""

    def has(*flags):
        monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(onednn, "in_use", lambda: True)
        forget()

    def forget():
        small_convolution._is_measured.cache_clear()
        minimal_filtering._is_measured.cache_clear()

    yield has
    forget()


@pytest.fixture(params=["bfloat16", "float32"])
def dtype(request, processor):
    """On a processor that has a way of its own for this dtype."""
    processor(*{"bfloat16": ["avx512f", "avx512_bf16"], "float32": ["avx2"]}[request.param])
    return request.param


def rounded(values):
    """Values that bfloat16 holds exactly."""
    return array(keras.ops.cast(values.astype(np.float32), "bfloat16"))


def gradients(layer, images, dtype):
    """Outputs, gradients by images, kernel and bias: of a sum with factors, which are returned too."""
    layer.build(images.shape)
    generator = np.random.default_rng(1)
    layer.kernel.assign(rounded(generator.normal(size=layer.kernel.shape)))
    layer.bias.assign(rounded(generator.normal(size=layer.bias.shape)))
    factors = rounded(generator.normal(size=layer.compute_output_shape(images.shape)))
    found, [by_images], [by_kernel, by_bias] = differentiated(
        lambda x: keras.ops.multiply(layer(keras.ops.cast(x, dtype)), keras.ops.cast(factors, dtype)),
        [images],
        [layer.kernel, layer.bias],
    )
    return [found, by_images, by_kernel, by_bias], factors


def by_numpy(images, kernel, bias, factors, padding):
    """The same in float64, each tap of the kernel by itself."""
    images, kernel, factors = np.float64(images), np.float64(kernel), np.float64(factors)
    rows, columns = kernel.shape[:2]
    sides = [((size - 1) // 2, size // 2) if padding == "same" else (0, 0) for size in (rows, columns)]
    wide = np.pad(images, [(0, 0), *sides, (0, 0)])
    height, width = factors.shape[1:3]
    outputs, by_wide, by_kernel = np.zeros(factors.shape), np.zeros(wide.shape), np.zeros(kernel.shape)
    for m in range(rows):
        for n in range(columns):
            seen = np.s_[:, m : m + height, n : n + width]
            outputs += wide[seen] @ kernel[m, n]
            by_wide[seen] += factors @ kernel[m, n].T
            by_kernel[m, n] = np.einsum("bijc,bijf->cf", wide[seen], factors)
    (top, _), (left, _) = sides
    by_images = by_wide[:, top : top + images.shape[1], left : left + images.shape[2]]
    return [(outputs + bias) * factors, by_images, by_kernel, factors.sum((0, 1, 2))]


def assert_close(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [3, (2, 3), 1])
@pytest.mark.parametrize("samples", [5, 300])
def test_outputs_and_gradients_are_those_of_the_formula(dtype, padding, size, samples):
    if BACKEND != "tensorflow" and dtype == "bfloat16":
        pytest.skip("Keras's own there: XLA, and torch without instructions for it, add bfloat16 up in bfloat16")
    # Winograd's takes 64; of bfloat16 so many are added up in bfloat16 where there are no instructions for it.
    width = {"bfloat16": 4, "float32": 64}[dtype]
    images = rounded(np.random.default_rng(0).normal(size=(samples, 6, 7, width)))
    layer = SmallImageConv2D(width, size, padding=padding, dtype=POLICIES[dtype])
    found, factors = gradients(layer, images, dtype)
    # bfloat16 has 8 bits, and sums of thousands of values are rounded to it.
    tolerance = {"bfloat16": 0.01, "float32": 2e-5}[dtype]
    assert_close(found, by_numpy(images, array(layer.kernel), array(layer.bias), factors, padding), tolerance)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 9), (16, 31)])
@pytest.mark.parametrize("dtype", POLICIES)
def test_by_winograd_too(padding, shape, dtype):
    images = rounded(np.random.default_rng(0).normal(size=(4, *shape, 6)))
    layer = SmallImageConv2D(5, 3, padding=padding, winograd=True, dtype=POLICIES[dtype])
    found, factors = gradients(layer, images, dtype)
    tolerance = {"float32": 1e-4, "bfloat16": 0.01}[dtype]
    assert_close(found, by_numpy(images, array(layer.kernel), array(layer.bias), factors, padding), tolerance)


@pytest.mark.parametrize("ways", [[False, True], [False, None]])
def test_pytorchs_outputs_and_gradients(processor, ways):
    torch = pytest.importorskip("torch")
    processor("avx2")
    images = np.random.default_rng(0).normal(size=(16, 11, 8, 64)).astype(np.float32)
    for way in ways:
        layer = SmallImageConv2D(64, 3, padding="same", winograd=way)
        found, factors = gradients(layer, images, "float32")
        x = torch.tensor(np.moveaxis(images, -1, 1), dtype=torch.float64, requires_grad=True)
        kernel = torch.tensor(np.float64(np.transpose(array(layer.kernel), (3, 2, 0, 1))), requires_grad=True)
        bias = torch.tensor(np.float64(array(layer.bias)), requires_grad=True)
        outputs = torch.nn.functional.conv2d(x, kernel, bias, padding="same")
        outputs = outputs * torch.tensor(np.moveaxis(factors, -1, 1))
        outputs.sum().backward()
        expected = [
            outputs.detach().numpy().transpose(0, 2, 3, 1),
            x.grad.numpy().transpose(0, 2, 3, 1),
            kernel.grad.numpy().transpose(2, 3, 1, 0),
            bias.grad.numpy(),
        ]
        assert_close(found, expected, 1e-4)


def calls_of(module, monkeypatch):
    """A list that grows by each convolution of `module`."""
    calls, convolved = [], module.convolved
    monkeypatch.setattr(module, "convolved", lambda *a: calls.append(1) or convolved(*a))
    return calls


@ON_TENSORFLOW
def test_filters_and_samples_are_exchanged_where_it_fits_and_only_there(processor, monkeypatch):
    processor("avx512f", "avx512_bf16")
    calls = calls_of(small_convolution, monkeypatch)
    images = np.zeros((2, 6, 6, 4), np.float32)

    def call(**arguments):
        SmallImageConv2D(4, 3, **{"dtype": "mixed_bfloat16", **arguments})(images)
        return len(calls)

    assert [call(), call(padding="same")] == [1, 2]
    assert call(dtype="float32") == call(strides=2) == call(dilation_rate=2) == call(groups=2) == 2
    assert call(winograd=False) == call(winograd=True) == 2
    for flags in [["avx2"], ["avx2", "avx512f"], ["avx512f", "avx512_bf16", "amx_bf16"], []]:
        processor(*flags)
        assert call() == 2


def test_winograds_is_taken_where_it_pays_and_where_it_is_asked_for(processor, monkeypatch):
    processor("avx2")
    calls = calls_of(minimal_filtering, monkeypatch)
    images = np.zeros((16, 6, 6, 64), np.float32)

    def call(kernel_size=3, **arguments):
        SmallImageConv2D(64, kernel_size, **arguments)(images)
        return len(calls)

    assert [call(), call(padding="same")] == [1, 2]
    others = [call(strides=2), call(dilation_rate=2), call(groups=2), call(kernel_size=2), call(kernel_size=(3, 1))]
    assert others == [2] * 5
    assert call(winograd=False) == call(dtype="mixed_bfloat16") == 2
    processor("avx2", "avx512f")
    assert call() == 2
    assert [call(winograd=True), call(winograd=True, dtype="mixed_bfloat16", padding="same")] == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"winograd": "yes"}, "winograd='yes'"),
        ({"winograd": True, "kernel_size": 5}, r"kernel_size=\(5, 5\)"),
        ({"winograd": True, "strides": 2}, r"strides=\(2, 2\)"),
        ({"winograd": True, "groups": 2}, "groups=2"),
        ({"winograd": True, "dtype": "float64"}, "dtype='float64'"),
        ({"winograd": True, "data_format": "channels_first"}, "data_format='channels_first'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(arguments, received):
    with pytest.raises(InputError, match=f"`winograd.*Received: .*{received}"):
        SmallImageConv2D(4, **{"kernel_size": 3, **arguments})


@ON_TENSORFLOW
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_images_of_a_size_that_is_known_when_the_graph_runs(processor, padding):
    import tensorflow as tf

    processor("avx2")
    layer = SmallImageConv2D(64, 3, padding=padding)
    layer.build((None, None, None, 64))
    layer.bias.assign(np.random.default_rng(1).normal(size=64))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 64), "float32")] * 2)
    def graph(images, factors):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = tf.ensure_shape(layer(images), (None, None, None, 64)) * factors
        return [outputs, *tape.gradient(outputs, [images, layer.kernel.value, layer.bias.value])]

    for shape in [(15, 7), (32, 32), (33, 9)]:
        generator = np.random.default_rng(0)
        images = generator.normal(size=(16, *shape, 64)).astype(np.float32)
        factors = generator.normal(size=layer.compute_output_shape(images.shape)).astype(np.float32)
        found = [array(value) for value in graph(images, factors)]
        expected = by_numpy(images, array(layer.kernel), array(layer.bias), factors, padding)
        assert_close(found, expected, 1e-4)
        # By how much it is off tells how it was computed: for 33 pixels 64 channels and filters are too few.
        error = np.sqrt(np.mean((found[0] - expected[0]) ** 2) / np.mean(expected[0] ** 2))
        assert (error > 6e-7) == (max(shape) <= 32)


@pytest.mark.parametrize("winograd", [None, True, False])
def test_its_configuration_says_how(winograd):
    layer = SmallImageConv2D(4, 3, padding="same", activation="relu", winograd=winograd)
    copy = SmallImageConv2D.from_config(layer.get_config())
    assert (copy.winograd, copy.padding, copy.activation) == (winograd, "same", keras.activations.relu)
    images = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype(np.float32)
    found = array(layer(images))
    copy.build(images.shape)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(array(copy(images)), found)
    assert found.min() == 0


@ON_TENSORFLOW
@pytest.mark.parametrize("side", [8, 9, None])
def test_only_images_of_up_to_64_pixels_are_exchanged_with_their_samples(processor, side):
    import tensorflow as tf

    processor("avx512f", "avx512_bf16")
    layer = SmallImageConv2D(3, 3, dtype="bfloat16")
    layer.build((None, 8, 8, 2))

    @tf.function(input_signature=[tf.TensorSpec((None, side, side, 2), "bfloat16")])
    def gradient(images):
        with tf.GradientTape() as tape:
            outputs = tf.reduce_sum(layer(images))
        return tape.gradient(outputs, layer.kernel.value)

    graph = gradient.get_concrete_function().graph
    operations = {operation.type for operation in graph.get_operations()}
    exchanged, by_its_kernel = bool(operations & {"While", "StatelessWhile"}), "Conv2DBackpropFilter" in operations
    if side is None:  # Both, and which of them is decided when it runs.
        assert operations & {"If", "StatelessIf"}
    else:
        assert (exchanged, by_its_kernel) == (side == 8, side == 9)
    # Without AVX-512 TensorFlow's own kernel, which larger images have, adds bfloat16 up in bfloat16.
    sizes = (8, 9) if BY_ONEDNN else (8,)
    for size in sizes if side is None else {side} & set(sizes):
        images = tf.cast(np.random.default_rng(0).normal(size=(200, size, size, 2)), "bfloat16")
        ends = size - 2
        expected = [
            np.float32(images[:, m : m + ends, n : n + ends]).sum(axis=(0, 1, 2)) for m in range(3) for n in range(3)
        ]
        found = np.float32(tf.cast(gradient(images), tf.float32)).reshape(9, 2, 3)
        assert np.abs(found - np.array(expected)[:, :, None]).max() < 0.02 * np.abs(expected).max()


def test_a_model_trains_as_with_kerass_layer(dtype):
    if BACKEND == "tensorflow" and dtype == "bfloat16" and not BY_ONEDNN:
        pytest.skip("Keras's layer has biases that TensorFlow trains in bfloat16 by oneDNN alone")
    ends = []
    for kind in (keras.layers.Conv2D, SmallImageConv2D):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                kind(64, 3, padding="same", activation="relu", dtype=POLICIES[dtype]),
                kind(64, 3, dtype=POLICIES[dtype]),
                keras.layers.GlobalAveragePooling2D(dtype="float32"),
                keras.layers.Dense(1),
            ]
        )
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss="mse")
        images = np.random.default_rng(2).normal(size=(150, 6, 6, 3)).astype(np.float32)
        model.fit(images, images.mean((1, 2))[:, :1], batch_size=150, epochs=3, shuffle=False, verbose=0)
        ends.append([array(value) for value in model.weights])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol={"bfloat16": 5e-4, "float32": 2e-6}[dtype])


@ON_TENSORFLOW
@pytest.mark.parametrize(
    ("way", "policy"), [(None, "mixed_bfloat16"), (True, "float32")], ids=["samples exchanged", "by Winograd"]
)
def test_its_gradient_can_be_differentiated(processor, way, policy):
    """A gradient penalty: the gradient of the squared gradient of the kernel, by differences of float64 of Keras's."""
    import tensorflow as tf

    processor("avx512f", "avx512_bf16")
    generator = np.random.default_rng(0)
    images, start = generator.normal(size=(3, 5, 5, 2)), generator.normal(size=(3, 3, 2, 4))

    def penalty(layer, kernel):
        layer.build(images.shape)
        layer.kernel.assign(kernel)
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                outputs = tf.reduce_sum(tf.sin(tf.cast(layer(images), layer.variable_dtype)))
            value = tf.reduce_sum(inner.gradient(outputs, layer.kernel.value) ** 2)
        return float(value), array(outer.gradient(value, layer.kernel.value))

    _, found = penalty(SmallImageConv2D(4, 3, use_bias=False, winograd=way, dtype=policy), start)
    for place in [(0, 0, 0, 0), (1, 2, 1, 3), (2, 1, 0, 2)]:
        step = np.zeros_like(start)
        step[place] = 1e-5
        sides = [
            penalty(keras.layers.Conv2D(4, 3, use_bias=False, dtype="float64"), start + sign * step)[0]
            for sign in (1, -1)
        ]
        tolerance = {"float32": 1e-4, "mixed_bfloat16": 0.05}[policy]
        np.testing.assert_allclose(found[place], (sides[0] - sides[1]) / 2e-5, rtol=tolerance)
