"""What a recipe's `data.preprocess` puts in front of a model, against NumPy on the training images."""

import keras
import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core.errors import InputError
from kerastrain.experiments import PREPROCESSORS

IMAGES = np.random.default_rng(0).integers(10, 250, (300, 4, 4, 3)).astype(np.uint8)


def preprocessed(value, images=IMAGES):
    model = keras.Sequential([keras.Input(images.shape[1:]), *PREPROCESSORS.create(value, images=images)])
    return keras.ops.convert_to_numpy(model(images.astype(np.float32)))


def test_shifts_and_scales_are_of_each_channel():
    pixels = IMAGES.astype(np.float64)
    low, high = pixels.min(axis=(0, 1, 2)), pixels.max(axis=(0, 1, 2))
    expected = {
        "none": pixels,
        "rescale": pixels / 255,
        "standardize": (pixels - pixels.mean(axis=(0, 1, 2))) / pixels.std(axis=(0, 1, 2)),
        "mean_centering": pixels - pixels.mean(axis=(0, 1, 2)),
        "non_negative_shift": pixels - low,
        "min_max_scaling": (pixels - low) / (high - low),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(preprocessed(name), values, rtol=1e-4, atol=1e-4, err_msg=name)
    found = preprocessed({"type": "min_max_scaling", "low": -1.0, "high": 1.0})
    assert (found.min(), found.max()) == (-1.0, 1.0)


@pytest.mark.parametrize("name", ["pca_whitening", "zca_whitening"])
def test_whitened_pixels_are_uncorrelated(name):
    found = preprocessed({"type": name, "epsilon": 0.0})
    covariance = np.cov(found.reshape(len(found), -1), rowvar=False)
    np.testing.assert_allclose(covariance, np.eye(48), atol=2e-3)
    assert found.shape == ((300, 48) if name == "pca_whitening" else (300, 4, 4, 3))


def test_principal_components_may_be_fewer():
    assert preprocessed({"type": "pca_whitening", "components": 5}).shape == (300, 5)


def test_whitening_looks_at_samples_from_all_over_the_set():
    # Sorted: the first half is dark. Of 2 samples one must come from each half, or the mean is that of the dark ones.
    images = np.concatenate([IMAGES // 8, IMAGES // 8 + 200])
    layer = PREPROCESSORS.create({"type": "zca_whitening", "samples": 10}, images=images)[1]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.mean).mean() * 255, images.mean(), atol=10)


def test_whitened_patches_come_with_their_negations_and_the_layer_is_frozen():
    layers = PREPROCESSORS.create("patch_whitening", images=IMAGES)
    model = keras.Sequential([keras.Input((4, 4, 3)), *layers])
    assert model.output_shape == (None, 4, 4, 24) and not model.trainable_weights
    # Of the patches that lie inside (padding is on the right and below), each filter's second moment is
    # lambda / (lambda + epsilon), and filters are uncorrelated.
    found = keras.ops.convert_to_numpy(model(IMAGES.astype(np.float32)))[:, :3, :3].reshape(-1, 24).astype(np.float64)
    np.testing.assert_allclose(found[:, :12], -found[:, 12:], atol=1e-5)
    np.testing.assert_allclose(found[:, :12].T @ found[:, :12] / len(found), np.eye(12), atol=2e-3)


@pytest.mark.parametrize("name", PREPROCESSORS.names())
def test_every_one_trains_in_a_recipe_and_is_saved_with_the_model(tiny, tiny_recipe, tmp_path, name):
    recipe = tiny_recipe(data__preprocess=name, training__epochs=1)
    model = experiments.build(recipe, tiny)
    experiments.fit(recipe, model, tiny)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = tiny.test[0]
    found, expected = (keras.ops.convert_to_numpy(each(images)) for each in (loaded, model))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_network_of_convolutions_needs_images(tiny, tiny_convnet):
    changed = tiny_convnet.model_copy(deep=True)
    changed.data.preprocess = {"type": "pca_whitening", "components": 5, "epsilon": 0.1, "samples": 50}
    with pytest.raises(InputError, match=r"must leave images .* Use `zca_whitening` in place of `pca_whitening`"):
        experiments.build(changed, tiny)


def test_label_smoothing_is_in_the_loss(tiny, tiny_recipe):
    recipe = tiny_recipe(training__label_smoothing=0.3)
    model = experiments.build(recipe, tiny)
    images, labels = tiny.test
    predicted = np.log(model.predict(images, verbose=0).astype(np.float64))
    smoothed = 0.7 * np.eye(3)[labels] + 0.1
    expected = -(smoothed * predicted).sum(axis=1).mean()
    assert model.evaluate(images, labels, verbose=0)[0] == pytest.approx(expected, rel=1e-4)


def test_layers_that_start_by_lsuv_have_outputs_of_variance_1(tiny, tiny_recipe):
    model = experiments.build(tiny_recipe(model__initializer="lsuv", model__layers=[12, 7]), tiny)
    inputs = tiny.train[0]
    for name in ("layer1_dense", "layer2_dense", "head"):
        layer = model.get_layer(name)
        into = keras.Model(model.inputs, layer.input).predict(inputs, verbose=0)
        kernel, bias = layer.get_weights()
        assert np.var(into @ kernel + bias) == pytest.approx(1.0, abs=0.02)
