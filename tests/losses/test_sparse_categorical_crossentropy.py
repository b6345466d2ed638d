"""Smoothed cross-entropy with integer labels: against Keras's one-hot loss and NumPy, on every backend."""

import keras
import numpy as np
import pytest
from layer_probes import JITS, array, differentiated, reloaded

from kerastrain._core.errors import InputError
from kerastrain.losses import SparseCategoricalCrossentropy

pytestmark = pytest.mark.backend

LOGITS = np.random.default_rng(0).normal(0, 2, size=(12, 5)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 5, size=12)
WEIGHTS = np.random.default_rng(2).uniform(0, 3, size=12).astype(np.float32)


def softmax(logits):
    powers = np.exp(np.float64(logits) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


PROBABILITIES = softmax(LOGITS).astype(np.float32)


def by_formula(labels, probabilities, smoothing):
    classes = probabilities.shape[-1]
    target = (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
    return -np.sum(target * np.log(np.float64(probabilities)), axis=-1)


SMOOTHINGS = pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
FROM = pytest.mark.parametrize(("from_logits", "predictions"), [(True, LOGITS), (False, PROBABILITIES)], ids=str)


@SMOOTHINGS
@pytest.mark.parametrize("from_logits", [True, False])
def test_it_is_the_formula(smoothing, from_logits):
    loss = SparseCategoricalCrossentropy(smoothing, from_logits=from_logits, reduction=None)
    found = array(loss(LABELS, LOGITS if from_logits else PROBABILITIES))
    np.testing.assert_allclose(found, by_formula(LABELS, softmax(LOGITS), smoothing), rtol=1e-5)


@SMOOTHINGS
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", None, "none"])
def test_it_is_keras_on_one_hot_labels(smoothing, from_logits, reduction):
    predictions = LOGITS if from_logits else PROBABILITIES
    options = {"label_smoothing": smoothing, "from_logits": from_logits, "reduction": reduction}
    loss, peer = SparseCategoricalCrossentropy(**options), keras.losses.CategoricalCrossentropy(**options)
    hot = np.eye(5, dtype=np.float32)[LABELS]
    for weights in (None, WEIGHTS, WEIGHTS[:, None]):
        np.testing.assert_allclose(
            array(loss(LABELS, predictions, weights)), array(peer(hot, predictions, weights)), rtol=1e-5
        )


@pytest.mark.parametrize("from_logits", [True, False])
def test_without_smoothing_it_is_keras_own_of_the_name(from_logits):
    predictions = LOGITS if from_logits else PROBABILITIES
    peer = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    loss = SparseCategoricalCrossentropy(from_logits=from_logits)
    assert loss.name == peer.name
    for weights in (None, WEIGHTS):
        np.testing.assert_allclose(
            array(loss(LABELS, predictions, weights)), array(peer(LABELS, predictions, weights)), rtol=1e-5
        )


@pytest.mark.parametrize(
    "labels",
    [LABELS[:, None], LABELS.astype(np.uint8), LABELS.astype(np.float32), LABELS.astype(np.int64)[:, None]],
    ids=["column", "uint8", "float32", "int64 column"],
)
def test_labels_of_other_kinds(labels):
    loss = SparseCategoricalCrossentropy(0.1, reduction=None)
    np.testing.assert_allclose(array(loss(labels, PROBABILITIES)), by_formula(LABELS, PROBABILITIES, 0.1), rtol=1e-5)


@pytest.mark.parametrize("column", [False, True])
def test_sequences(column):
    logits = np.random.default_rng(3).normal(size=(3, 4, 5)).astype(np.float32)
    labels = np.random.default_rng(4).integers(0, 5, size=(3, 4))
    loss = SparseCategoricalCrossentropy(0.2, from_logits=True)
    wanted = by_formula(labels, softmax(logits), 0.2)
    given = labels[..., None] if column else labels
    np.testing.assert_allclose(float(array(loss(given, logits))), wanted.mean(), rtol=1e-5)
    weights = np.random.default_rng(5).uniform(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(float(array(loss(given, logits, weights))), (wanted * weights).mean(), rtol=1e-5)


def test_a_sequence_as_long_as_there_are_classes_is_no_one_hot_label():
    logits = np.random.default_rng(3).normal(size=(2, 5, 5)).astype(np.float32)
    labels = np.random.default_rng(4).integers(0, 5, size=(2, 5))
    found = array(SparseCategoricalCrossentropy(from_logits=True, reduction=None)(labels, logits))
    np.testing.assert_allclose(found, by_formula(labels, softmax(logits), 0.0), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_predictions_are_widened(dtype):
    halved = keras.ops.cast(LOGITS, dtype)
    loss = SparseCategoricalCrossentropy(0.1, from_logits=True)
    found = loss(LABELS, halved)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(float(array(found)), by_formula(LABELS, softmax(array(halved)), 0.1).mean(), rtol=1e-5)


def test_in_half_precision_where_it_is_asked_for():
    loss = SparseCategoricalCrossentropy(0.1, from_logits=True, dtype="float16", reduction=None)
    found = loss(LABELS, LOGITS)
    assert keras.backend.standardize_dtype(found.dtype) == "float16"
    np.testing.assert_allclose(array(found), by_formula(LABELS, softmax(LOGITS), 0.1), rtol=0.01)


@pytest.mark.parametrize(("dtype", "most"), [("float16", 2049), ("bfloat16", 257)])
def test_half_precision_that_cannot_count_the_classes_is_refused(dtype, most):
    logits = np.zeros((1, most), np.float32)
    logits[0, most - 1] = 5.0
    label = np.array([most - 1])
    wanted = by_formula(label, softmax(logits), 0.0)
    loss = SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)
    np.testing.assert_allclose(float(array(loss(label, logits))), wanted[0], rtol=0.02)
    with pytest.raises(InputError) as error:
        loss(label, np.zeros((1, most + 1), np.float32))
    assert str(error.value) == f"`dtype` must count {most + 1} classes: float32. Received: dtype={dtype!r}."


@pytest.mark.parametrize("label", [-1, 5, 300, 1.5])
@pytest.mark.parametrize("from_logits", [True, False])
def test_a_label_that_is_no_class_makes_the_loss_nan(label, from_logits):
    labels = np.float32(LABELS)
    labels[3] = label
    predictions = LOGITS if from_logits else PROBABILITIES
    found = array(SparseCategoricalCrossentropy(0.1, from_logits, reduction=None)(labels, predictions))
    assert np.isnan(found).tolist() == [place == 3 for place in range(12)]
    assert np.isnan(array(SparseCategoricalCrossentropy(0.1, from_logits)(labels, predictions)))


def test_gradients_are_smoothed_targets_off_the_softmax():
    loss = SparseCategoricalCrossentropy(0.3, from_logits=True, reduction="sum")
    _, (found,), _ = differentiated(lambda logits: loss(LABELS, logits), [LOGITS])
    target = 0.7 * np.eye(5)[LABELS] + 0.3 / 5
    np.testing.assert_allclose(found, softmax(LOGITS) - target, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("jit_compile", JITS[-1:])
def test_a_model_trains_with_it_and_is_saved(jit_compile, tmp_path):
    x = np.random.default_rng(6).normal(size=(60, 3)).astype(np.float32)
    labels = x.argmax(axis=1)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, kernel_initializer="zeros")])
    model.compile(
        keras.optimizers.Adam(0.1), SparseCategoricalCrossentropy(0.1, from_logits=True), jit_compile=jit_compile
    )
    losses = model.fit(x, labels, epochs=6, batch_size=12, verbose=0).history["loss"]
    # It starts at log 3, and the least there can be is the entropy of the smoothed target.
    target = np.array([0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3])
    assert -np.sum(target * np.log(target)) < losses[-1] < 0.7 * np.log(3)
    loaded = reloaded(model, tmp_path)
    assert type(loaded.loss) is SparseCategoricalCrossentropy
    assert loaded.loss.get_config() == model.loss.get_config()
    np.testing.assert_allclose(loaded.evaluate(x, labels, verbose=0), model.evaluate(x, labels, verbose=0), rtol=1e-6)


def test_the_config_has_every_argument():
    config = {
        "label_smoothing": 0.2,
        "from_logits": True,
        "reduction": "sum",
        "name": "own",
        "dtype": "float16",
    }
    assert SparseCategoricalCrossentropy(**config).get_config() == config
    again = keras.losses.deserialize(keras.losses.serialize(SparseCategoricalCrossentropy(**config)))
    assert type(again) is SparseCategoricalCrossentropy and again.get_config() == config


@pytest.mark.parametrize(
    "labels", [np.eye(5)[LABELS], LABELS[:, None, None], np.array(1), np.zeros((12, 2))], ids=lambda x: str(x.shape)
)
def test_labels_in_another_shape_are_refused(labels):
    with pytest.raises(InputError) as error:
        SparseCategoricalCrossentropy(0.1)(labels, PROBABILITIES)
    assert str(error.value) == (
        "Labels must be whole numbers, `y_true` in the shape of `y_pred` without its last axis. Received: "
        f"{labels.shape} and (12, 5). For one-hot labels there is keras.losses.CategoricalCrossentropy."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label_smoothing": 1.0}, "`label_smoothing` must be a number >= 0 and < 1. Received: label_smoothing=1.0."),
        ({"label_smoothing": -0.1}, "`label_smoothing` must be a number >= 0 and < 1. Received: label_smoothing=-0.1."),
        ({"label_smoothing": None}, "`label_smoothing` must be a number >= 0 and < 1. Received: label_smoothing=None."),
        ({"from_logits": 1}, "`from_logits` must be True or False. Received: from_logits=1."),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        SparseCategoricalCrossentropy(**arguments)
    assert str(error.value) == message
    with pytest.raises(ValueError, match="Invalid value for argument `reduction`"):
        SparseCategoricalCrossentropy(reduction="median")
