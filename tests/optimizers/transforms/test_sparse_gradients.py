"""TensorFlow has an embedding's gradient as rows, repeated ones apart; the training is that of a dense gradient."""

import keras
import numpy as np
import pytest
from optimizer_probes import BACKEND, assert_near, numbers

from kerastrain.optimizers import ClipByGlobalNorm, ClipByNorm, ComposedOptimizer

WORDS, WIDTH, LENGTH = 6, 3, 5
IDS = np.random.default_rng(0).integers(0, 4, size=(12, LENGTH))  # Repeated, and two words never come.
TARGETS = numbers(12, 1, seed=1, scale=5.0)

CLIPS = {"none": None, "global norm": lambda: ClipByGlobalNorm(0.5), "norm": lambda: ClipByNorm(0.3)}


def model_of(embedding, shape):
    model = keras.Sequential(
        [keras.Input(shape), embedding, keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
    )
    model.set_weights([numbers(WORDS, WIDTH, seed=2), numbers(WIDTH, 1, seed=3), np.zeros(1)])
    return model


def trained(sparse, rule, clip, eager):
    if sparse:
        model, inputs = model_of(keras.layers.Embedding(WORDS, WIDTH), (LENGTH,)), IDS
    else:
        model = model_of(keras.layers.Dense(WIDTH, use_bias=False), (LENGTH, WORDS))
        inputs = np.eye(WORDS, dtype=np.float32)[IDS]
    transforms = [] if clip is None else [clip()]
    model.compile(ComposedOptimizer(rule(0.1), transforms), loss="mse", run_eagerly=eager)
    for start in range(0, 12, 3):
        model.train_on_batch(inputs[start : start + 3], TARGETS[start : start + 3])
    return model.get_weights()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has sparse gradients")
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("rule", ["SGD", "Adam", "Adagrad", "RMSprop"])
def test_an_embedding_trains_as_a_product_with_one_hot_rows(rule, clip):
    rule = getattr(keras.optimizers, rule)
    dense = trained(False, rule, CLIPS[clip], eager=True)
    assert_near(trained(True, rule, CLIPS[clip], eager=True), dense, atol=1e-5)
    np.testing.assert_array_equal(dense[0][4:], numbers(WORDS, WIDTH, seed=2)[4:])
    if clip != "none":  # It had a part in it.
        assert max(np.abs(a - b).max() for a, b in zip(trained(False, rule, None, True), dense, strict=True)) > 1e-3


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has sparse gradients")
def test_so_it_does_in_a_compiled_step():
    clip = CLIPS["global norm"]
    sparse, dense = (trained(sparse, keras.optimizers.Adam, clip, eager=False) for sparse in (True, False))
    assert_near(sparse, dense, atol=1e-5)
