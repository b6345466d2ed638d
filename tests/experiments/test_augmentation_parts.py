import keras
import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core.errors import InputError
from kerastrain.datasets import Batches
from kerastrain.experiments.augmentation_parts import AUGMENTATIONS, AugmentationLayers
from kerastrain.experiments.build import training_batches

SIDE = 16


def layers_of(*section, side=SIDE, seed=0):
    return AugmentationLayers([AUGMENTATIONS.validate(item) for item in section], (side, side), seed)


def plain_images(count):
    """Images of one gray each, and one-hot labels of a class each, so that a label tells what was mixed."""
    grays = np.linspace(10, 240, count).round().astype(np.uint8)
    return np.broadcast_to(grays[:, None, None, None], (count, SIDE, SIDE, 3)).copy(), np.eye(count, dtype=np.float32)


@pytest.mark.backend
def test_mix_up_blends_images_by_the_shares_of_their_labels():
    images, labels = plain_images(24)
    mixed, shares = layers_of({"type": "mix_up", "alpha": 1.0}).apply(images, labels, epoch=0, batch=0)
    assert mixed.dtype == np.uint8
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    expected = shares @ images[:, 0, 0, 0].astype(np.float32)
    np.testing.assert_allclose(mixed, np.broadcast_to(expected[:, None, None, None], mixed.shape), atol=0.51)
    # Beta(1, 1) is uniform: of 24 shares some lie in the middle.
    assert ((shares > 0.25) & (shares < 0.75)).any()


@pytest.mark.backend
def test_cut_mix_pastes_a_box_by_the_share_of_its_label():
    images, labels = plain_images(24)
    mixed, shares = layers_of("cut_mix").apply(images, labels, epoch=0, batch=0)
    pasted = mixed[..., 0] != images[..., 0]
    for index in np.flatnonzero(pasted.any(axis=(1, 2))):
        rows, columns = np.flatnonzero(pasted[index].any(axis=1)), np.flatnonzero(pasted[index].any(axis=0))
        assert pasted[index].sum() == len(rows) * len(columns)
        other = np.flatnonzero((shares[index] > 0) & (np.arange(24) != index))
        assert set(mixed[index][pasted[index]].ravel()) == set(images[other, 0, 0, 0])
        # The box has whole pixels and its share not: each side is at most one pixel off.
        assert abs(pasted[index].mean() - shares[index, other].item()) < (2 * SIDE + 1) / SIDE**2
    assert pasted.any(axis=(1, 2)).sum() > 12


@pytest.mark.backend
@pytest.mark.parametrize("size", [1, 5, 8])
def test_cutout_erases_one_square_of_each_image(size):
    images = np.zeros((40, SIDE, SIDE, 3), np.uint8)
    erased, labels = layers_of({"type": "cutout", "size": size}).apply(images, np.arange(40), epoch=0, batch=0)
    assert set(np.unique(erased)) == {0, 128}
    np.testing.assert_array_equal((erased == 128).sum(axis=(1, 2)), size * size)
    assert len(np.unique(erased, axis=0)) > 20  # in another place each
    np.testing.assert_array_equal(labels, np.arange(40))


def test_random_erasing_leaves_some_images():
    images = np.zeros((200, SIDE, SIDE, 1), np.uint8)
    section = {"type": "random_erasing", "probability": 0.25, "min_area": 0.1, "max_area": 0.1}
    erased, _ = layers_of(section).apply(images, np.zeros(200), epoch=0, batch=0)
    touched = erased.any(axis=(1, 2, 3)).mean()
    assert abs(touched - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 200)


def test_jitter_of_brightness_adds_one_number_to_an_image():
    images = np.full((64, 4, 4, 3), 100, np.uint8)
    section = {"type": "random_color_jitter", "brightness": 0.2, "contrast": 0.0, "saturation": 0.0}
    jittered, _ = layers_of(section).apply(images, np.zeros(64), epoch=0, batch=0)
    assert (jittered == jittered[:, :1, :1, :1]).all()
    shifts = jittered[:, 0, 0, 0].astype(int) - 100
    assert abs(shifts).max() <= 51 and shifts.min() < -20 and shifts.max() > 20


def test_jitter_of_saturation_multiplies_it():
    images = np.zeros((64, 2, 2, 3), np.uint8) + np.array([200, 150, 100], np.uint8)
    section = {"type": "random_color_jitter", "brightness": 0.0, "contrast": 0.0, "saturation": 0.2}
    jittered, _ = layers_of(section).apply(images, np.zeros(64), epoch=0, batch=0)
    high, low = jittered[:, 0, 0].max(axis=1).astype(float), jittered[:, 0, 0].min(axis=1).astype(float)
    np.testing.assert_allclose(high, 200, atol=1)  # the value stays
    factors = (high - low) / high / 0.5
    assert 0.8 / 1.2 - 0.02 <= factors.min() < 0.8 and 1.25 < factors.max() <= 1.2 / 0.8 + 0.02


@pytest.mark.backend
def test_a_batch_can_be_made_again_and_differs_from_all_others():
    images = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.eye(8, dtype=np.float32)
    section = ("cutout", "random_color_jitter", "mix_up", "cut_mix")

    def made(seed, epoch, batch, layers=None):
        return (layers or layers_of(*section, seed=seed)).apply(images, labels, epoch=epoch, batch=batch)

    used = layers_of(*section)
    first = made(0, 0, 0, used)
    others = [made(0, 0, 1, used), made(0, 1, 0, used), made(1, 0, 0)]
    keras.utils.set_random_seed(99)
    again = made(0, 0, 0, used)
    for left, right in zip(first, again, strict=True):
        np.testing.assert_array_equal(left, right)
    for other in others:
        assert not np.array_equal(first[0], other[0]) and not np.array_equal(first[1], other[1])


def test_layers_come_after_crop_and_flip():
    images = np.zeros((4, SIDE, SIDE, 1), np.uint8)
    images[:, 0] = 200  # a crop moves this line, and reflection brings no second one
    batches = Batches(images, np.arange(4), 4, seed=0, crop=4, augmentation=layers_of({"type": "cutout", "size": 6}))
    batches.start(1)
    found, labels = batches[0]
    np.testing.assert_array_equal((found == 128).sum(axis=(1, 2, 3)), 36)  # no square was cropped
    np.testing.assert_array_equal(np.sort(labels), np.arange(4))
    named = Batches({"image": images, "size": np.arange(4)}, np.arange(4), 4, seed=0, augmentation=layers_of("cutout"))
    inputs, labels = named[0]
    assert (inputs["image"] == 128).any() and (inputs["size"] == labels).all()


@pytest.mark.slow
def test_mixed_labels_are_one_hot_and_evaluated_like_whole_ones(tiny_recipe):
    plain = tiny_recipe()
    mixed = tiny_recipe(data__augment__layers=["mix_up"])
    scores = []
    for recipe in (plain, mixed):
        data = experiments.prepare(recipe)
        scores.append(experiments.evaluate(experiments.build(recipe, data), data, ("val",))["val"])
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_training_with_mixed_labels_follows_the_soft_cross_entropy(tiny_recipe):
    recipe = tiny_recipe(data__augment__layers=["mix_up"], data__train_limit=16, training__epochs=1)
    data = experiments.prepare(recipe)
    model = experiments.build(recipe, data)
    images, shares = training_batches(recipe, data)[0]
    assert ((shares > 0.01) & (shares < 0.99)).any()
    probabilities = np.asarray(model.predict(images, verbose=0))
    expected = -(shares * np.log(probabilities)).sum(axis=1).mean()
    history = experiments.fit(recipe, model, data).history
    assert history[0]["loss"] == pytest.approx(expected, rel=1e-4)
    assert history[0]["accuracy"] == pytest.approx((probabilities.argmax(1) == shares.argmax(1)).mean())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__augment__layers": ["mixup"]}, "Did you mean `mix_up`"),
        ({"data__augment__layers": [{"type": "cut_mix", "alpha": 0.0}]}, "number > 0"),
        ({"data__augment__layers": ["mix_up"], "training__strategy": "sequential"}, "a batch here is one image"),
        ({"data__augment__layers": ["mix_up"], "training__batch_size": 1}, "a batch here is one image"),
    ],
)
def test_layers_that_cannot_work_are_refused(tiny_recipe, changes, words):
    with pytest.raises(InputError, match=r"data\.augment\.layers") as caught:
        tiny_recipe(**changes)
    assert words in str(caught.value)


def test_labels_are_mixed_for_one_class_an_image_only():
    with pytest.raises(InputError, match="one image and give it one class"):
        experiments.load("multi_label", {"data.augment.layers": ["cut_mix"]})
    assert experiments.load("multi_label", {"data.augment.layers": ["random_erasing"]})


@pytest.mark.parametrize("section", [{"type": "cutout", "size": SIDE}, {"type": "random_erasing", "min_area": 0.5}])
def test_arguments_that_do_not_fit_the_images_are_refused(section):
    with pytest.raises(InputError, match="Received"):
        layers_of(section)
