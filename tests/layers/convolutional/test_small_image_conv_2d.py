"""The convolution of small images: PyTorch's outputs and gradients, Keras's layer in training, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, array, differentiated

from kerastrain._core import machine, onednn, small_convolution
from kerastrain.layers import SmallImageConv2D

pytestmark = pytest.mark.backend
# Asked here, before a test gives the processor other flags.
BY_ONEDNN = BACKEND == "tensorflow" and onednn.computes_in("bfloat16")
ON_TENSORFLOW = pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere it is Keras's own")


@pytest.fixture(params=["bfloat16", "float32"])
def dtype(request, monkeypatch):
    """A processor that it is for in this dtype, whatever this one is; TensorFlow computes both on every one."""
    flags = {"bfloat16": {"avx512f", "avx512_bf16"}, "float32": {"avx2"}}[request.param]
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(onednn, "in_use", lambda: True)
    small_convolution._is_measured.cache_clear()
    yield request.param
    small_convolution._is_measured.cache_clear()


POLICIES = {"bfloat16": "mixed_bfloat16", "float32": "float32"}


def rounded(values):
    """Values that bfloat16 holds exactly."""
    return array(keras.ops.cast(values.astype(np.float32), "bfloat16"))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [3, (2, 3), 1])
@pytest.mark.parametrize("samples", [5, 300])
def test_outputs_and_gradients_are_pytorchs(dtype, padding, size, samples):
    torch = pytest.importorskip("torch")
    if BACKEND != "tensorflow" and dtype == "bfloat16":
        pytest.skip("Keras's own there: XLA, and torch without instructions for it, add bfloat16 up in bfloat16")
    generator = np.random.default_rng(0)
    images = rounded(generator.normal(size=(samples, 6, 7, 4)))
    layer = SmallImageConv2D(5, size, padding=padding, dtype=POLICIES[dtype])
    layer.build(images.shape)
    layer.kernel.assign(rounded(generator.normal(size=layer.kernel.shape)))
    factors = rounded(generator.normal(size=layer.compute_output_shape(images.shape)))
    found, [by_images], [by_kernel, by_bias] = differentiated(
        lambda x: keras.ops.multiply(layer(keras.ops.cast(x, dtype)), keras.ops.cast(factors, dtype)),
        [images],
        [layer.kernel, layer.bias],
    )
    x = torch.tensor(np.moveaxis(images, -1, 1), dtype=torch.float64, requires_grad=True)
    kernel = torch.tensor(np.float64(np.transpose(array(layer.kernel), (3, 2, 0, 1))), requires_grad=True)
    bias = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    outputs = torch.nn.functional.conv2d(x, kernel, bias, padding=padding) * torch.tensor(np.moveaxis(factors, -1, 1))
    outputs.sum().backward()
    # bfloat16 has 8 bits, and sums of thousands of values are rounded to it; float32 has 24.
    tolerance = {"bfloat16": 0.01, "float32": 2e-6}[dtype]
    for one, other in (
        (found, outputs.detach().numpy().transpose(0, 2, 3, 1)),
        (by_images, x.grad.numpy().transpose(0, 2, 3, 1)),
        (by_kernel, kernel.grad.numpy().transpose(2, 3, 1, 0)),
        (by_bias, bias.grad.numpy()),
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max())


@ON_TENSORFLOW
def test_it_is_taken_where_it_fits_and_only_there(dtype, monkeypatch):
    calls = []
    convolved = small_convolution.convolved
    monkeypatch.setattr(small_convolution, "convolved", lambda *a: calls.append(1) or convolved(*a))
    images = np.zeros((2, 6, 6, 4), np.float32)

    def call(**arguments):
        SmallImageConv2D(4, 3, **{"dtype": POLICIES[dtype], **arguments})(images)
        return len(calls)

    assert [call(), call(padding="same")] == [1, 2]
    other = {"bfloat16": "float32", "float32": "mixed_bfloat16"}[dtype]
    assert call(dtype=other) == call(dtype="float64") == call(strides=2) == call(dilation_rate=2) == call(groups=2) == 2
    elsewhere = [{"avx2", "avx512f"}, {"avx512f", "avx512_bf16", "amx_bf16"}, set()]
    for flags in elsewhere:
        small_convolution._is_measured.cache_clear()
        monkeypatch.setattr(machine, "cpu_flags", lambda flags=flags: frozenset(flags))
        assert call() == 2
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset({"avx2"}))
    monkeypatch.setattr(onednn, "in_use", lambda: False)
    small_convolution._is_measured.cache_clear()
    assert call() == 2


@ON_TENSORFLOW
@pytest.mark.parametrize("side", [8, 9, None])
def test_only_images_of_up_to_64_pixels_are_exchanged_with_their_samples(dtype, side):
    import tensorflow as tf

    layer = SmallImageConv2D(3, 3, dtype=dtype)
    layer.build((None, 8, 8, 2))

    @tf.function(input_signature=[tf.TensorSpec((None, side, side, 2), dtype)])
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
    sizes = (8, 9) if BY_ONEDNN or dtype == "float32" else (8,)
    for size in sizes if side is None else {side} & set(sizes):
        images = tf.cast(np.random.default_rng(0).normal(size=(200, size, size, 2)), dtype)
        ends = size - 2
        expected = [
            np.float32(images[:, m : m + ends, n : n + ends]).sum(axis=(0, 1, 2)) for m in range(3) for n in range(3)
        ]
        found = np.float32(tf.cast(gradient(images), tf.float32)).reshape(9, 2, 3)
        tolerance = {"bfloat16": 0.02, "float32": 1e-5}[dtype]
        assert np.abs(found - np.array(expected)[:, :, None]).max() < tolerance * np.abs(expected).max()


def test_a_model_trains_as_with_kerass_layer(dtype):
    if BACKEND == "tensorflow" and dtype == "bfloat16" and not BY_ONEDNN:
        pytest.skip("Keras's layer has biases that TensorFlow trains in bfloat16 by oneDNN alone")
    ends = []
    for kind in (keras.layers.Conv2D, SmallImageConv2D):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                kind(8, 3, padding="same", activation="relu", dtype=POLICIES[dtype]),
                kind(8, 3, dtype=POLICIES[dtype]),
                keras.layers.GlobalAveragePooling2D(dtype="float32"),
                keras.layers.Dense(1),
            ]
        )
        model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss="mse")
        images = np.random.default_rng(2).normal(size=(150, 6, 6, 3)).astype(np.float32)
        model.fit(images, images.mean((1, 2))[:, :1], batch_size=150, epochs=3, shuffle=False, verbose=0)
        ends.append([array(value) for value in model.weights])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol={"bfloat16": 5e-4, "float32": 1e-6}[dtype])


@ON_TENSORFLOW
@pytest.mark.parametrize("dtype", ["float32"], indirect=True)
def test_its_gradient_can_be_differentiated(dtype):
    """A gradient penalty: the gradient of the squared gradient of the kernel, by differences of float64 of Keras's."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    images, start = generator.normal(size=(3, 5, 5, 2)), generator.normal(size=(3, 3, 2, 4))

    def penalty(layer, kernel):
        layer.build(images.shape)
        layer.kernel.assign(kernel)
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                outputs = tf.reduce_sum(tf.sin(layer(images)))
            value = tf.reduce_sum(inner.gradient(outputs, layer.kernel.value) ** 2)
        return float(value), array(outer.gradient(value, layer.kernel.value))

    _, found = penalty(SmallImageConv2D(4, 3, use_bias=False, dtype=dtype), start)
    for place in [(0, 0, 0, 0), (1, 2, 1, 3), (2, 1, 0, 2)]:
        step = np.zeros_like(start)
        step[place] = 1e-5
        sides = [
            penalty(keras.layers.Conv2D(4, 3, use_bias=False, dtype="float64"), start + sign * step)[0]
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(found[place], (sides[0] - sides[1]) / 2e-5, rtol=1e-4)
