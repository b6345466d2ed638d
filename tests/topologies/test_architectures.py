"""What each architecture computes: the course's network, the paper's shortcut, hand-counted weights."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.topologies import convnet, mlp_functional, mlp_sequential, multi_input, multi_label, residual


def _trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_the_course_network_has_its_weights_and_outputs():
    model = mlp_sequential(seed=0)
    assert isinstance(model, keras.Sequential)
    assert model.count_params() == 3072 * 20 + 20 + 20 * 15 + 15 + 15 * 10 + 10 == 61_935
    images = np.random.default_rng(0).random((5, 32, 32, 3)).astype(np.float32)
    w1, b1, w2, b2, w3, b3 = (weight.astype(np.float64) for weight in model.get_weights())
    hidden = np.maximum(np.maximum(images.reshape(5, 3072) @ w1 + b1, 0) @ w2 + b2, 0)
    scores = np.exp(hidden @ w3 + b3)
    expected = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(images)), expected, atol=1e-5)


def test_sequential_and_functional_agree():
    arguments = {"layers": [6, {"units": 5, "activation": "prelu", "dropout": 0.5}], "normalization": "batch"}
    first = mlp_sequential(**arguments, input_shape=(4, 4, 3), seed=2)
    second = mlp_functional(**arguments, input_shape=(4, 4, 3), seed=2)
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers[1:]]
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    images = np.random.default_rng(0).random((5, 4, 4, 3)).astype(np.float32)
    for training in (False, True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(first(images, training=training)),
            keras.ops.convert_to_numpy(second(images, training=training)),
        )


def _resnet_weights(depth, width, classes):
    """He et al. 2015, section 4.2: 3x3 convolutions without bias, two affine weights a normalized channel."""
    n = (depth - 2) // 6
    stem = 9 * 3 * width + 2 * width
    stages = [(width, width), (width, 2 * width), (2 * width, 4 * width)]
    blocks = sum(9 * before * after + (2 * n - 1) * 9 * after * after + 2 * n * 2 * after for before, after in stages)
    return stem + blocks + 4 * width * classes + classes


@pytest.mark.parametrize(
    ("depth", "millions"),
    [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), pytest.param(110, 1.7, marks=pytest.mark.slow)],
)
def test_residual_networks_have_the_papers_size(depth, millions):
    model = residual(depth=depth)
    assert _trainable(model) == _resnet_weights(depth, 16, 10)
    assert round(_trainable(model) / 1e6, 1 if depth == 110 else 2) == millions
    weighted = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]
    assert len(weighted) == depth


def test_resnet_20_has_269722_trainable_weights():
    assert _resnet_weights(20, 16, 10) == 269_722
    assert residual().count_params() == 269_722 + 2 * (16 * 7 + 32 * 6 + 64 * 6)


def test_a_narrow_residual_network_is_counted_too():
    assert _trainable(residual(depth=8, width=5, classes=4, input_shape=(8, 8, 3))) == _resnet_weights(8, 5, 4)


@pytest.mark.parametrize("size", [8, 7])
@pytest.mark.parametrize("width", [3, 4])
def test_the_shortcut_takes_every_second_pixel_and_pads_channels_with_zeros(size, width):
    model = residual(depth=8, width=width, input_shape=(size, size, 3))
    before = model.get_layer("stage1_block1_activation2").output
    after = model.get_layer("stage2_block1_channels").output
    images = np.random.default_rng(0).random((2, size, size, 3)).astype(np.float32)
    x, y = (keras.ops.convert_to_numpy(array) for array in keras.Model(model.input, [before, after])(images))
    x = x[:, ::2, ::2]
    left = width // 2
    np.testing.assert_array_equal(y[..., left : left + width], x)
    assert y.shape == (*x.shape[:3], 2 * width)
    assert not y[..., :left].any() and not y[..., left + width :].any()


def test_strided_kernels_are_centered_on_the_pixels_of_the_shortcut():
    model = residual(depth=8, width=2, input_shape=(8, 8, 3), normalization=None, activation=None)
    convolution = model.get_layer("stage2_block1_convolution1")
    kernel = np.zeros((3, 3, 2, 4), np.float32)
    kernel[1, 1, 0, 0] = kernel[1, 1, 1, 1] = 1
    convolution.kernel.assign(kernel)
    x = model.get_layer("stage1_block1_sum").output
    images = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    x, y = (keras.ops.convert_to_numpy(array) for array in keras.Model(model.input, [x, convolution.output])(images))
    np.testing.assert_allclose(y[..., :2], x[:, ::2, ::2], atol=1e-6)


@pytest.mark.parametrize(("depth", "nearest"), [(18, 20), (22, 20), (24, 26), (0, None), (7, 8), (2, 8), (109, 110)])
def test_other_depths_are_refused_with_the_nearest(depth, nearest):
    with pytest.raises(InputError, match="`depth` must be" if nearest is None else f"The nearest is {nearest}"):
        residual(depth=depth)


def _convolutions(widths, blocks, channels=3):
    """Kernels, and scale and center of the normalization, of the stages."""
    total = 0
    for width in widths:
        for _ in range(blocks):
            total += 9 * channels * width + 2 * width
            channels = width
    return total


def test_convolutional_networks_have_the_weights_counted_by_hand():
    trunk = _convolutions([32, 64, 128], 2)
    assert trunk == 864 + 9_216 + 18_432 + 36_864 + 73_728 + 147_456 + 2 * 2 * (32 + 64 + 128)
    assert _trainable(convnet()) == trunk + 128 * 10 + 10 == 288_746
    assert _trainable(multi_label(classes=4)) == trunk + 128 * 4 + 4
    histogram = 48 * 32 + 2 * 32
    joint = (128 + 32) * 64 + 2 * 64
    assert _trainable(multi_input()) == trunk + histogram + joint + 64 * 10 + 10
    small = convnet(widths=[4, 6, 8, 10], blocks=3, classes=5, input_shape=(8, 8, 1))
    assert _trainable(small) == _convolutions([4, 6, 8, 10], 3, channels=1) + 10 * 5 + 5


def test_both_inputs_matter():
    model = multi_input(widths=[4], blocks=1, histogram_size=6, input_shape=(4, 4, 3), classes=3, seed=0)
    random = np.random.default_rng(0)
    image, histogram = random.random((2, 4, 4, 3)).astype("float32"), random.random((2, 6)).astype("float32")
    base = keras.ops.convert_to_numpy(model({"image": image, "histogram": histogram}))
    for other in ({"image": image * 2, "histogram": histogram}, {"image": image, "histogram": histogram * 2}):
        assert not np.allclose(base, keras.ops.convert_to_numpy(model(other)), atol=1e-4)


def test_labels_are_independent():
    model = multi_label(widths=[4], blocks=1, input_shape=(4, 8, 3), classes=3, seed=0)
    features = keras.Model(model.input, model.get_layer("global_pooling").output)
    images = np.random.default_rng(0).random((5, 4, 8, 3)).astype("float32")
    kernel, bias = model.get_layer("head").get_weights()
    expected = 1 / (1 + np.exp(-(keras.ops.convert_to_numpy(features(images)) @ kernel + bias)))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(images)), expected, atol=1e-6)
