"""Batches that are made on the device are those that the host makes, and train alike."""

import keras
import numpy as np
import pytest

import kerastrain
from kerastrain import experiments
from kerastrain._core import accelerator
from kerastrain._core.errors import InputError
from kerastrain.datasets import Batches

pytestmark = pytest.mark.backend
ON_JAX = pytest.mark.skipif(keras.backend.backend() != "jax", reason="batches are made on the device on JAX alone")

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 9, 7, 3), dtype=np.uint8)
LABELS = np.arange(50) % 4


@ON_JAX
@pytest.mark.parametrize("flip", ["none", "random", "alternating"])
@pytest.mark.parametrize("crop", [0, 1, 3])
def test_a_batch_is_the_one_of_the_host(crop, flip):
    batches = Batches(IMAGES, LABELS, 16, seed=1, crop=crop, flip=flip)
    for epoch in (0, 3):
        batches.start(epoch, step=1)
        images, making = batches.on_device()
        for index in range(3):
            expected, labels = batches[index]
            with batches.as_places():
                places, same_labels = batches[index]
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(making.batch(images, places)), expected)
            np.testing.assert_array_equal(same_labels, labels)
            assert places.shape == (len(labels), 4) and expected.dtype == np.uint8


@ON_JAX
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_it_is_resized_as_on_the_host(dtype):
    batches = Batches(IMAGES.astype(dtype), LABELS, 16, seed=1, crop=2, flip="random", resolutions=[(5, 1)])
    images, making = batches.on_device()
    with batches.as_places():
        places = batches[0][0]
    found = keras.ops.convert_to_numpy(making.batch(images, places))
    assert found.shape == (16, 6, 5, 3) and found.dtype == dtype
    # Compiled with what is around it, a pixel may be rounded to the other side.
    np.testing.assert_allclose(found.astype(float), batches[0][0].astype(float), atol=1 if dtype == "uint8" else 1e-3)


def test_what_is_made_of_more_than_images_stays_on_the_host(monkeypatch):
    class Nothing:
        def apply(self, images, labels, *, epoch, batch):
            return images, labels

        def identity(self):
            return None

    assert Batches({"image": IMAGES}, LABELS, 8, seed=0).on_device() is None
    assert Batches(IMAGES, LABELS, 8, seed=0, augmentation=Nothing()).on_device() is None
    assert Batches(np.zeros((50, 3)), LABELS, 8, seed=0).on_device() is None
    monkeypatch.setattr(accelerator, "memory_bytes", lambda: 4 * IMAGES.nbytes - 1)
    assert Batches(IMAGES, LABELS, 8, seed=0).on_device() is None
    monkeypatch.setattr(accelerator, "memory_bytes", lambda: 4 * IMAGES.nbytes)
    assert Batches(IMAGES, LABELS, 8, seed=0).on_device() is not None


def trained(pipeline, steps, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    execution = kerastrain.fast_compile(
        model,
        keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        pipeline=pipeline,
        steps_per_execution=steps,
        verbose=False,
    )
    assert execution.pipeline == pipeline
    batches = Batches(IMAGES, LABELS, 16, seed=1, crop=2, flip="random", **options)
    asked = []
    if pipeline == "device":
        make = Batches._augmented
        batches._augmented = lambda *arguments: asked.append(1) or make(batches, *arguments)
    history = model.fit(batches, epochs=3, shuffle=False, verbose=0, validation_data=(IMAGES, LABELS)).history
    # One look at the shapes, by which Keras builds the model.
    assert len(asked) <= 1
    # And nothing is left behind: to others the batches are images.
    assert batches[0][0].shape[1:] == (9, 7, 3)
    return history, [np.array(value) for value in model.get_weights()]


@ON_JAX
@pytest.mark.parametrize("options", [{}, {"even": True}, {"resolutions": [(5, 1)]}], ids=str)
@pytest.mark.parametrize("steps", [1, 3])
def test_fit_trains_alike(options, steps):
    (one, weights), (other, others) = (trained(pipeline, steps, **options) for pipeline in ("host", "device"))
    for name in one:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-4)
    for value, expected in zip(others, weights, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-3, atol=2e-5)


@ON_JAX
def test_a_recipe_trains_alike():
    ends = []
    for pipeline in ("host", "device"):
        recipe = experiments.load(
            "convnet",
            {
                "model.widths": [4],
                "data.name": "synthetic",
                "data.validation": 20,
                "data.train_limit": 90,
                "training.epochs": 2,
                "training.batch_size": 16,
                "training.pipeline": pipeline,
            },
        )
        data = experiments.prepare(recipe)
        model = experiments.build(recipe, data)
        ends.append(experiments.fit(recipe, model, data).history)
    for one, other in zip(*ends, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-3)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="there it can")
def test_elsewhere_it_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    with pytest.raises(InputError, match="`pipeline` must be host or auto but on JAX"):
        kerastrain.fast_compile(model, "sgd", "mse", pipeline="device")
    with pytest.raises(InputError, match="`pipeline` must be one of"):
        kerastrain.fast_compile(model, "sgd", "mse", pipeline="gpu")
