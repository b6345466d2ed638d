"""Smaller images in the first epochs, in `Batches` and through Keras's `fit`."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.datasets import Batches
from kerastrain.datasets.resolutions import resized

pytestmark = pytest.mark.backend


def data(samples=24, height=8, width=8):
    images = np.random.default_rng(0).integers(0, 256, (samples, height, width, 3), dtype=np.uint8)
    return images, np.arange(samples) % 3


def network():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def weights(model):
    return [keras.ops.convert_to_numpy(value) for value in model.weights]


@pytest.mark.parametrize(("size", "smaller"), [((8, 8), (5, 5)), ((12, 9), (8, 6)), ((8, 8), (1, 1))])
def test_resizing_is_that_of_pytorch_with_antialiasing(size, smaller):
    torch = pytest.importorskip("torch")
    images, _ = data(3, *size)
    found = resized(images, smaller)
    channels_first = torch.tensor(images).permute(0, 3, 1, 2).float()
    expected = torch.nn.functional.interpolate(channels_first, smaller, mode="bilinear", antialias=True)
    assert found.dtype == np.uint8 and found.shape == (3, *smaller, 3)
    # Rounded to a whole number, at times to the other side.
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1).numpy(), atol=0.502)
    exact = resized(images.astype(np.float32), smaller)
    np.testing.assert_allclose(exact, expected.permute(0, 2, 3, 1).numpy(), atol=1e-3)


def test_the_stages_follow_one_another_and_the_images_themselves_come_last():
    images, labels = data(6, 8, 16)
    batches = Batches(images, labels, 6, seed=0, crop=1, flip="random", resolutions=[(4, 2), (6, 1)])
    whole = Batches(images, labels, 6, seed=0, crop=1, flip="random")
    shapes = []
    for epoch in range(5):
        batches.start(epoch)
        whole.start(epoch)
        shapes.append(batches[0][0].shape[1:3])
        # Behind crop and flip, and with the labels of the same order.
        np.testing.assert_array_equal(batches[0][0], resized(whole[0][0], shapes[-1]))
        np.testing.assert_array_equal(batches[0][1], whole[0][1])
    assert shapes == [(4, 8), (4, 8), (6, 12), (8, 16), (8, 16)]
    assert batches.sizes_of_images() == [(4, 8), (6, 12), (8, 16)]


def test_fit_is_one_fit_after_the_other_with_images_of_each_size():
    images, labels = data()
    found = network()
    batches = Batches(images, labels, 8, seed=0, resolutions=[(4, 1), (6, 2)])
    found.fit(batches, epochs=4, shuffle=False, verbose=0, validation_data=(images, labels))
    expected = network()
    order = Batches(images, labels, 8, seed=0)
    for epoch, side in enumerate([4, 6, 6, 8]):
        order.start(epoch)
        for index in range(3):
            inputs, some = order[index]
            expected.train_on_batch(resized(inputs, (side, side)), some)
    for one, other in zip(weights(found), weights(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("initial_epoch", [0, 2])
def test_fit_goes_on_in_any_stage(initial_epoch):
    images, labels = data()
    model, batches = network(), Batches(images, labels, 8, seed=0, resolutions=[(4, 1), (6, 1)])
    batches.start(7)  # Where a training of before has ended.
    history = model.fit(batches, initial_epoch=initial_epoch, epochs=3, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all() and batches[0][0].shape == (8, 8, 8, 3)


def test_a_model_of_one_size_trains_on_smaller_images_when_its_input_spec_says_so():
    images, labels = data()
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(4, 3)(inputs)))
    model = keras.Model(inputs, outputs)
    model.input_spec = keras.layers.InputSpec(shape=(None, None, None, 3))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(Batches(images, labels, 8, seed=0, resolutions=[(4, 1)]), epochs=2, shuffle=False, verbose=0)
    assert model.input_shape == (None, 8, 8, 3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only its pipelines want to know the shapes")
def test_a_single_batch_an_epoch_is_refused_where_its_shape_would_be_that_of_all():
    batches = Batches(*data(), 24, seed=0, resolutions=[(4, 1)])
    with pytest.raises(InputError, match=r"at least two batches.*24 samples in batches of 24.*smaller batch_size"):
        network().fit(batches, epochs=2, shuffle=False, verbose=0)


@pytest.mark.parametrize(
    ("resolutions", "message"),
    [
        ("4", "pairs"),
        (4, "pairs"),
        ([4, 1], r"`resolutions\[0\]` must be a pair \(side, epochs\). Received: 4"),
        ([(4,)], "must be a pair"),
        ([(4, 1), (0, 1)], r"`resolutions\[1\]\[0\]`"),
        ([(4, 1.5)], r"`resolutions\[0\]\[1\]`"),
        ([(9, 1)], "at most the shorter side of the images, 8. Received: 9"),
    ],
)
def test_what_is_no_resolution_is_refused(resolutions, message):
    with pytest.raises(InputError, match=message):
        Batches(*data(), 8, seed=0, resolutions=resolutions)


def test_only_images_are_resized():
    with pytest.raises(InputError, match="are for images"):
        Batches(np.zeros((5, 2)), np.zeros(5), 2, seed=0, resolutions=[(4, 1)])


def test_resolutions_are_part_of_the_identity():
    one, other = (Batches(*data(), 8, seed=0, resolutions=r).identity() for r in ([], [(4, 1)]))
    assert one != other
