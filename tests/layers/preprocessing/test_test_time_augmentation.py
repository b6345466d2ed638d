"""The mean answer to several views: against NumPy's reflected slices, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND, JITS, array, reloaded

from kerastrain._core.errors import InputError
from kerastrain.layers import TestTimeAugmentation as Augmented

pytestmark = pytest.mark.backend

IMAGES = np.random.default_rng(0).normal(size=(6, 5, 7, 3)).astype(np.float32)


@keras.saving.register_keras_serializable(package="test_test_time_augmentation")
class Pixels(keras.layers.Layer):
    """Reads three pixels by their place, so that an answer tells which view was asked about; noise in training."""

    def __init__(self, square=False, **kwargs):
        super().__init__(**kwargs)
        self.square = square

    def call(self, inputs, training=False):
        read = keras.ops.stack([inputs[:, 0, 0, 0], inputs[:, 1, 2, 1], inputs[:, -1, -2, 2]], axis=1)
        read = keras.ops.square(read) if self.square else read
        return read + 100.0 if training else read

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 3)

    def get_config(self):
        return {**super().get_config(), "square": self.square}


def reading(shape=(5, 7, 3), **arguments):
    return keras.Sequential([keras.Input(shape), Pixels(**arguments)])


def read(images, square=True):
    """What the model reads, by NumPy."""
    found = np.stack([images[:, 0, 0, 0], images[:, 1, 2, 1], images[:, -1, -2, 2]], axis=1)
    return found**2 if square else found


def views(images, mirror, shift):
    """Weights and views, from the formula: the shifts are crops at the corners of the reflected image."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
    up_left = padded[:, 0:height, 0:width]
    down_right = padded[:, 2 * shift : 2 * shift + height, 2 * shift : 2 * shift + width]
    if mirror and shift:
        weights = [1 / 4, 1 / 4, 1 / 8, 1 / 8, 1 / 8, 1 / 8]
        seen = [images, images[:, :, ::-1], up_left, down_right, up_left[:, :, ::-1], down_right[:, :, ::-1]]
        return list(zip(weights, seen, strict=True))
    if mirror:
        return [(1 / 2, images), (1 / 2, images[:, :, ::-1])]
    if shift:
        return [(1 / 2, images), (1 / 4, up_left), (1 / 4, down_right)]
    return [(1.0, images)]


def expected(images, mirror=True, shift=1, square=True):
    return sum(weight * read(np.float64(view), square) for weight, view in views(images, mirror, shift))


@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize("shift", [0, 1, 2, 4])
def test_the_answer_is_the_weighted_mean_over_the_views(mirror, shift):
    # Squares, so that a mean of answers is not the answer to a mean.
    model = Augmented(reading(square=True), mirror=mirror, shift=shift)
    wanted = expected(IMAGES, mirror, shift)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(array(model(IMAGES)), wanted, rtol=1e-5, atol=1e-5)
    assert model.predict(IMAGES, verbose=0).shape == (6, 3)
    plain = read(np.float64(IMAGES))
    assert bool(mirror or shift) == bool(np.abs(wanted - plain).max() > 0.1), "or this test shows nothing"


def test_the_defaults_are_the_six_views_of_the_speed_records():
    # By hand: 3 x 3, one channel, a model that reads the corner. Views of it: the corner, the mirrored corner, the
    # reflected pixel beyond the corner (the center), the center of the shift the other way, and both mirrored.
    image = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    inputs = keras.Input((3, 3, 1))
    corner = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Cropping2D(((0, 2), (0, 2)))(inputs)))
    # The corner is 0 and mirrored 2; all shifted views have at their corner what is one step inside: 4, 4, 4, 4.
    wanted = 0 / 4 + 2 / 4 + (4 + 4 + 4 + 4) / 8
    assert Augmented(corner).predict(image, verbose=0).tolist() == [[wanted]]


def test_a_shift_beyond_the_images_is_told_where_the_model_takes_any_size():
    inputs = keras.Input((None, None, 3))
    anything = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    augmented = Augmented(anything, shift=100)
    with pytest.raises(InputError, match=r"`shift` must be below 5, the image. Received: shift=100"):
        augmented(np.zeros((1, 5, 7, 3), np.float32))


def test_in_training_it_is_the_model():
    model = Augmented(reading())
    np.testing.assert_allclose(array(model(IMAGES, training=True)), read(IMAGES, square=False) + 100.0, rtol=1e-5)
    np.testing.assert_allclose(
        array(model(IMAGES, training=False)), expected(IMAGES, square=False), rtol=1e-5, atol=1e-5
    )


def classifier(**arguments):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((5, 7, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ],
        **arguments,
    )


LABELS = np.array([0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("jit_compile", JITS[:1])
def test_it_is_compiled_fitted_and_evaluated_like_any_model(jit_compile):
    model, plain = Augmented(classifier()), classifier()
    for one in (model, plain):
        one.compile(
            keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=jit_compile
        )
    histories = [
        one.fit(IMAGES, LABELS, epochs=2, batch_size=3, shuffle=False, verbose=0).history for one in (model, plain)
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-4)
    for left, right in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    wanted = sum(weight * plain.predict(view, verbose=0) for weight, view in views(IMAGES, True, 1))
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), wanted, rtol=1e-4, atol=1e-5)
    loss, accuracy = model.evaluate(IMAGES, LABELS, verbose=0)
    np.testing.assert_allclose(loss, -np.log(wanted[np.arange(6), LABELS]).mean(), rtol=1e-3)
    np.testing.assert_allclose(accuracy, (wanted.argmax(axis=1) == LABELS).mean(), rtol=1e-5)


@pytest.mark.parametrize("arguments", [{}, {"mirror": False, "shift": 2, "name": "own"}], ids=str)
def test_it_is_saved_and_loaded(arguments, tmp_path):
    model = Augmented(classifier(), **arguments)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.train_on_batch(IMAGES, LABELS)
    loaded = reloaded(model, tmp_path)
    assert type(loaded) is Augmented
    assert (loaded.mirror, loaded.shift, loaded.name) == (model.mirror, model.shift, model.name)
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    np.testing.assert_array_equal(loaded.model.predict(IMAGES, verbose=0), model.model.predict(IMAGES, verbose=0))
    assert loaded.loss == "sparse_categorical_crossentropy"


def test_the_weights_are_the_models():
    inner = classifier()
    model = Augmented(inner)
    assert [id(weight) for weight in model.weights] == [id(weight) for weight in inner.weights]
    assert model.count_params() == inner.count_params()


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.pixels = Pixels(square=True)

    def call(self, inputs, training=False):
        return self.pixels(inputs, training=training)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("built", [True, False])
def test_a_subclassed_model(built):
    inner = Subclassed()
    if built:
        inner(IMAGES)
    model = Augmented(inner, shift=2)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected(IMAGES, shift=2), rtol=1e-5, atol=1e-5)


def test_a_model_that_is_not_built_is_built(tmp_path):
    model = Augmented(keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)]))
    wanted = model.predict(IMAGES, verbose=0)
    assert [tuple(weight.shape) for weight in model.weights] == [(105, 2), (2,)]
    np.testing.assert_array_equal(reloaded(model, tmp_path).predict(IMAGES, verbose=0), wanted)


def test_images_of_any_size():
    model = Augmented(reading((None, None, 3), square=True), shift=2)
    for images in (IMAGES, IMAGES[:, :4], np.tile(IMAGES, (1, 2, 1, 1))):
        np.testing.assert_allclose(model.predict(images, verbose=0), expected(images, shift=2), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow traces without sizes")
def test_images_of_unknown_size_while_tensorflow_traces():
    import tensorflow as tf

    model = Augmented(reading((None, None, 3), square=True))
    traced = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for images in (IMAGES, IMAGES[:2, :4]):
        np.testing.assert_allclose(traced(images).numpy(), expected(images), rtol=1e-5, atol=1e-5)


def test_whole_numbers_and_half_precision():
    images = np.random.default_rng(0).integers(0, 256, size=(6, 5, 7, 3), dtype=np.uint8)
    inputs = keras.Input((5, 7, 3), dtype="uint8")
    scaled = keras.Model(inputs, Pixels(square=True)(keras.layers.Rescaling(1 / 255)(inputs)))
    np.testing.assert_allclose(
        Augmented(scaled).predict(images, verbose=0), expected(images / 255), rtol=1e-4, atol=1e-5
    )
    # A model of float32 under a policy of half precision is given what it takes.
    inner = reading(square=False)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = Augmented(inner, shift=0, mirror=False)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(array(model(IMAGES)), read(IMAGES, square=False))


def two_inputs(structure):
    inputs = {"a": keras.Input((4, 4, 1), name="a"), "b": keras.Input((4, 4, 1), name="b")}
    both = keras.layers.Flatten()(keras.layers.Add()(list(inputs.values())))
    return keras.Model(inputs if structure is dict else structure(inputs.values()), both)


def one_input(inputs=lambda tensor: tensor, outputs=lambda tensor: tensor):
    image = keras.Input((4, 4, 1), name="image")
    return keras.Model(inputs(image), outputs(keras.layers.Flatten()(image)))


IMAGES_ONLY = "`model` must take images (batch, height, width, channels). Its inputs are: "
ONE_OUTPUT = "`model` must have one output, a tensor. Its outputs are: "


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "model", "`model` must be a keras.Model. Received: 'model'."),
        (lambda: keras.layers.Dense(2), "`model` must be a keras.Model. Received: <Dense"),
        (lambda: two_inputs(dict), IMAGES_ONLY),
        (lambda: two_inputs(list), IMAGES_ONLY),
        (lambda: two_inputs(tuple), IMAGES_ONLY),
        (lambda: one_input(inputs=lambda image: {"image": image}), IMAGES_ONLY),
        (lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), IMAGES_ONLY + "(None, 3)."),
        (lambda: one_input(outputs=lambda flat: [flat, flat]), ONE_OUTPUT),
        (lambda: one_input(outputs=lambda flat: {"a": flat, "b": flat}), ONE_OUTPUT),
        (lambda: one_input(outputs=lambda flat: {"a": flat}), ONE_OUTPUT),
    ],
    ids=[
        "text",
        "layer",
        "dictionary",
        "list",
        "tuple",
        "dictionary of one",
        "vector",
        "two outputs",
        "outputs by name",
        "output by name",
    ],
)
def test_models_of_another_kind_are_refused(make, message):
    with pytest.raises(InputError) as error:
        Augmented(make())
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mirror": 1}, "`mirror` must be True or False. Received: mirror=1."),
        ({"shift": -1}, "`shift` must be a whole number >= 0. Received: shift=-1."),
        ({"shift": 0.5}, "`shift` must be a whole number >= 0. Received: shift=0.5."),
        ({"shift": True}, "`shift` must be a whole number >= 0. Received: shift=True."),
        ({"shift": 5}, "`shift` must be below 5, the image. Received: shift=5."),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        Augmented(reading(), **arguments)
    assert str(error.value) == message


def test_a_side_that_is_known_bounds_the_shift():
    with pytest.raises(InputError, match="`shift` must be below 7, the image"):
        Augmented(reading((None, 7, 3)), shift=7)
    assert Augmented(reading((None, None, 3)), shift=50).shift == 50
