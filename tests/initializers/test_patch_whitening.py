"""Filters that whiten patches: against NumPy's patches and the published recipe's formula, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import array, reloaded

from kerastrain._core.errors import InputError
from kerastrain.initializers import PatchWhitening

pytestmark = pytest.mark.backend


def pictures(count=60, side=8, channels=3, seed=0):
    """Smooth, with correlated channels, and not of mean zero: as images are."""
    noise = np.random.default_rng(seed).normal(size=(count, side + 2, side + 2, channels))
    smooth = sum(noise[:, i : i + side, j : j + side] for i in range(3) for j in range(3)) / 3
    mixing = np.random.default_rng(9).normal(size=(channels, channels))
    return (smooth @ mixing + 0.3).astype(np.float32)


def patches(images, size):
    """One row a patch, its values in the order row, column, channel; slice by slice."""
    rows = []
    for top in range(images.shape[1] - size + 1):
        for left in range(images.shape[2] - size + 1):
            rows.append(np.float64(images[:, top : top + size, left : left + size]).reshape(len(images), -1))
    return np.concatenate(rows)


def second_moment(rows):
    return rows.T @ rows / len(rows)


def convolved(images, initializer, size, filters):
    layer = keras.layers.Conv2D(filters, size, use_bias=False, kernel_initializer=initializer, trainable=False)
    outputs = np.float64(array(layer(images)))
    return outputs.reshape(-1, filters), layer


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("epsilon", [5e-4, 0.1])
def test_the_outputs_are_uncorrelated_and_of_one_size(size, epsilon):
    images = pictures()
    features = 3 * size * size
    values = np.linalg.eigvalsh(second_moment(patches(images, size)))[::-1]
    outputs, _ = convolved(images, PatchWhitening(epsilon, mirrored=False).adapt(images, size), size, features)
    np.testing.assert_allclose(second_moment(outputs), np.diag(values / (values + epsilon)), atol=2e-3)
    outputs, _ = convolved(images, PatchWhitening(epsilon).adapt(images, size), size, 2 * features)
    np.testing.assert_allclose(outputs[:, features:], -outputs[:, :features], atol=1e-5)
    np.testing.assert_allclose(second_moment(outputs[:, :features]), np.diag(values / (values + epsilon)), atol=2e-3)


def test_the_second_moment_is_that_of_the_patches():
    # 300 images are more than one part of 256.
    images = pictures(count=300, side=5)
    found = PatchWhitening().adapt(images, size=2).moments
    np.testing.assert_allclose(found, second_moment(patches(images, 2)), rtol=1e-9)
    np.testing.assert_allclose(
        PatchWhitening().adapt(images[:, :, :4], size=4).moments, second_moment(patches(images[:, :, :4], 4)), rtol=1e-9
    )


def test_it_is_the_formula_of_the_speed_records():
    """airbench94.py of arXiv:2404.00498, `init_whitening_conv`, in NumPy with its axes (filter, channel, row, column):

    patches = unfold(h).unfold(w).transpose(1, 3).reshape(-1, c, h, w)
    est_patch_covariance = (patches_flat.T @ patches_flat) / len(patches_flat)
    eigenvalues, eigenvectors = eigh(est_patch_covariance, UPLO='U')
    eigenvalues, eigenvectors = eigenvalues.flip(0), eigenvectors.T.reshape(c*h*w, c, h, w).flip(0)
    eigenvectors_scaled = eigenvectors / sqrt(eigenvalues + eps)
    weight = cat((eigenvectors_scaled, -eigenvectors_scaled))
    """
    images = pictures()
    channels_first = np.float64(np.moveaxis(images, -1, 1))
    flat = np.concatenate(
        [
            channels_first[:, :, top : top + 2, left : left + 2].reshape(len(images), -1)
            for top in range(7)
            for left in range(7)
        ]
    )
    eigenvalues, eigenvectors = np.linalg.eigh(flat.T @ flat / len(flat), UPLO="U")
    eigenvectors = eigenvectors.T.reshape(12, 3, 2, 2)[::-1]
    scaled = eigenvectors / np.sqrt(eigenvalues[::-1].reshape(-1, 1, 1, 1) + 5e-4)
    wanted = np.moveaxis(np.concatenate([scaled, -scaled]), (0, 1), (-1, -2))
    found = array(PatchWhitening().adapt(images, size=2)((2, 2, 3, 24)))
    # An eigenvector's sign is nobody's choice; with the negations both hold the same filters.
    signs = np.sign(np.sum(found * wanted, axis=(0, 1, 2)))
    assert signs[:12].tolist() == signs[12:].tolist()
    np.testing.assert_allclose(found * signs, wanted, rtol=1e-3, atol=1e-4)


def test_fewer_filters_take_the_largest_eigenvalues():
    images = pictures()
    whitening = PatchWhitening().adapt(images, size=2)
    all_of_them, few = array(whitening((2, 2, 3, 24))), array(whitening((2, 2, 3, 6)))
    np.testing.assert_array_equal(few, np.concatenate([all_of_them[..., :3], all_of_them[..., 12:15]], axis=-1))
    values, vectors = np.linalg.eigh(second_moment(patches(images, 2)))
    for place in range(3):
        filter_ = few[..., place].ravel() * np.sqrt(values[-1 - place] + 5e-4)
        assert abs(filter_ @ vectors[:, -1 - place]) == pytest.approx(1.0, rel=1e-4)
    single = PatchWhitening(mirrored=False).adapt(images, size=2)((2, 2, 3, 1))
    np.testing.assert_array_equal(array(single), all_of_them[..., :1])


def test_adapting_again_forgets():
    once, twice = (
        PatchWhitening().adapt(pictures(seed=1)),
        PatchWhitening().adapt(9 * pictures()).adapt(pictures(seed=1)),
    )
    np.testing.assert_array_equal(once.moments, twice.moments)


def test_patches_that_do_not_vary_are_lifted_by_epsilon():
    images = np.full((5, 4, 4, 1), 2.0, np.float32)
    kernel = np.float64(array(PatchWhitening(epsilon=0.25).adapt(images, size=2)((2, 2, 1, 8))))
    assert np.isfinite(kernel).all()
    # One patch, (2, 2, 2, 2): its second moment is 16 along one axis and 0 along the others, which get 1 / sqrt(0.25).
    lengths = np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)))[:4]
    np.testing.assert_allclose(lengths, [1 / np.sqrt(16.25), 2, 2, 2], rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_images_of_any_dtype(dtype):
    images = np.random.default_rng(0).integers(0, 256, size=(20, 6, 6, 3)).astype(dtype)
    np.testing.assert_allclose(
        PatchWhitening().adapt(images, size=2).moments, second_moment(patches(images, 2)), rtol=1e-9
    )
    assert (
        keras.backend.standardize_dtype(PatchWhitening().adapt(images)((2, 2, 3, 4), dtype="float16").dtype)
        == "float16"
    )


def test_a_model_with_it_is_saved_and_not_trained(tmp_path):
    images = pictures()
    whitening = PatchWhitening(epsilon=0.01).adapt(images, size=2)
    first = keras.layers.Conv2D(
        24, 2, use_bias=False, kernel_initializer=whitening, trainable=False, activation="relu", name="whitening"
    )
    model = keras.Sequential([keras.Input((8, 8, 3)), first, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = array(first.kernel)
    model.train_on_batch(images, np.ones((60, 1), np.float32))
    np.testing.assert_array_equal(array(first.kernel), before)
    loaded = reloaded(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))
    found = loaded.get_layer("whitening").kernel_initializer
    assert type(found) is PatchWhitening and (found.epsilon, found.mirrored) == (0.01, True)
    np.testing.assert_array_equal(array(found((2, 2, 3, 24))), before)
    clone = keras.models.clone_model(model)
    np.testing.assert_array_equal(array(clone.get_layer("whitening").kernel), before)


def test_not_adapted_is_an_error():
    with pytest.raises(InputError) as error:
        PatchWhitening()((2, 2, 3, 24))
    assert str(error.value) == "PatchWhitening must be adapted to images first: PatchWhitening().adapt(images)."
    with pytest.raises(InputError, match="must be adapted to images first"):
        keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(24, 2, kernel_initializer=PatchWhitening())])
    assert PatchWhitening.from_config(PatchWhitening().get_config()).moments is None


@pytest.mark.parametrize(
    ("shape", "mirrored"),
    [
        ((3, 3, 3, 24), True),
        ((2, 2, 1, 8), True),
        ((2, 2, 3, 25), True),
        ((2, 2, 3, 26), True),
        ((2, 2, 3, 13), False),
        ((4, 1, 3, 24), True),
        ((12, 24), True),
        ((2, 2, 3, 1, 24), True),
    ],
    ids=str,
)
def test_a_kernel_that_does_not_fit_is_refused(shape, mirrored):
    whitening = PatchWhitening(mirrored=mirrored).adapt(pictures(), size=2)
    most = "24 filters, an even number" if mirrored else "12 filters"
    with pytest.raises(InputError) as error:
        whitening(shape)
    assert str(error.value) == (
        "The kernel must be square, of 12 values a filter, as the patches that were seen, with at most "
        f"{most}. Received: shape {shape}."
    )


@pytest.mark.parametrize("images", [np.zeros((4, 8, 8)), np.zeros((0, 8, 8, 3)), np.zeros((4, 8, 1, 3)), 3], ids=str)
def test_what_are_no_images_is_refused(images):
    with pytest.raises(InputError) as error:
        PatchWhitening().adapt(images, size=2)
    assert str(error.value) == (
        f"`images` must be (samples, height, width, channels) of at least 2 pixels. Received: shape {np.shape(images)}."
    )


def test_numbers_that_are_not_finite_are_refused():
    for number in (np.nan, np.inf):
        images = pictures()
        images[3, 4, 5, 1] = number
        with pytest.raises(InputError, match="`images` must be finite numbers"):
            PatchWhitening().adapt(images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0}, "`epsilon` must be a number > 0. Received: epsilon=0."),
        ({"epsilon": "small"}, "`epsilon` must be a number > 0. Received: epsilon='small'."),
        ({"mirrored": 1}, "`mirrored` must be True or False. Received: mirrored=1."),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        PatchWhitening(**arguments)
    assert str(error.value) == message


@pytest.mark.parametrize("size", [0, -1, 2.0, (2, 2), None], ids=str)
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(InputError) as error:
        PatchWhitening().adapt(pictures(), size=size)
    assert str(error.value) == f"`size` must be a whole number >= 1. Received: size={size!r}."
