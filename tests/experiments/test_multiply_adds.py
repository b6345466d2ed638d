"""Multiply-adds against counts by hand."""

import math
import re

import keras
import numpy as np
import pytest

from kerastrain import layers
from kerastrain.experiments.multiply_adds import multiply_adds
from kerastrain.topologies import TOPOLOGIES

pytestmark = pytest.mark.backend

L = keras.layers


def counted(shape, *stack):
    count, unknown = multiply_adds(keras.Sequential([keras.Input(shape), *stack]))
    assert not unknown
    return count


def cases():
    image, sequence = (8, 6, 3), (7, 5)
    yield "dense", (5,), L.Dense(4), 5 * 4
    yield "dense on a sequence", sequence, L.Dense(4), 7 * 5 * 4
    yield "conv 1D", sequence, L.Conv1D(4, 3, padding="same"), 7 * 3 * 5 * 4
    yield "conv 2D", image, L.Conv2D(5, 3, strides=2, padding="same"), 3 * 3 * 3 * 5 * 4 * 3
    yield "groups", (8, 6, 4), L.Conv2D(6, 3, padding="same", groups=2), 3 * 3 * 2 * 6 * 8 * 6
    yield "conv 3D", (4, 4, 4, 2), L.Conv3D(3, 2), 2**3 * 2 * 3 * 3**3
    yield "channels first", (3, 8, 6), L.Conv2D(5, 3, data_format="channels_first"), 135 * 6 * 4
    yield "channels first, transposed", (3, 8, 6), L.Conv2DTranspose(5, 3, data_format="channels_first"), 135 * 8 * 6
    yield "transposed", image, L.Conv2DTranspose(5, 4, strides=2, padding="same"), 4 * 4 * 3 * 5 * 8 * 6
    yield "transposed 1D", sequence, L.Conv1DTranspose(4, 3, strides=3), 3 * 5 * 4 * 7
    yield "depthwise", image, L.DepthwiseConv2D(3, depth_multiplier=2), 3 * 3 * 3 * 2 * 6 * 4
    yield "separable", image, L.SeparableConv2D(5, 3), (3 * 3 * 3 + 3 * 5) * 6 * 4
    yield "separable 1D", sequence, L.SeparableConv1D(4, 3), (3 * 5 + 5 * 4) * 5
    yield "lstm", sequence, L.LSTM(6), 7 * 4 * 6 * (5 + 6)
    yield "lstm of sequences", sequence, L.LSTM(6, return_sequences=True), 7 * 4 * 6 * (5 + 6)
    yield "gru", sequence, L.GRU(6, use_bias=False), 7 * 3 * 6 * (5 + 6)
    yield (
        "cells",
        sequence,
        L.RNN([L.LSTMCell(6), L.GRUCell(2, use_bias=False)]),
        7 * (4 * 6 * (5 + 6) + 3 * 2 * (6 + 2)),
    )
    yield "bidirectional", sequence, L.Bidirectional(L.LSTM(6)), 2 * 7 * 4 * 6 * (5 + 6)
    yield "conv lstm", (2, 8, 6, 3), L.ConvLSTM2D(5, 3, padding="same"), 2 * 8 * 6 * 9 * (3 + 5) * 4 * 5
    yield "time and dense", sequence, L.TimeDistributed(L.Dense(4)), 7 * 5 * 4
    yield "time and conv", (2, *image), L.TimeDistributed(L.Conv2D(5, 3)), 2 * 3 * 3 * 3 * 5 * 6 * 4
    yield "einsum", sequence, L.EinsumDense("abc,cde->abde", (None, 2, 3)), 7 * 5 * 2 * 3
    yield "einsum with an ellipsis", (7, 2, 5), L.EinsumDense("...c,cd->...d", 4), 7 * 2 * 5 * 4
    yield "einsum of two", (7, 2, 3), L.EinsumDense("abde,dec->abc", (None, 5)), 7 * 2 * 3 * 5
    yield "embedding", (7,), L.Embedding(1000, 16), 0
    yield "norms", image, L.LayerNormalization(axis=(1, 2, 3), center=False), 8 * 6 * 3
    yield "prelu", image, L.PReLU(), 8 * 6 * 3
    yield "spectral", image, L.SpectralNormalization(L.Conv2D(5, 3)), 3 * 3 * 3 * 5 * 6 * 4
    yield "drop connect", sequence, layers.DropConnect(L.Dense(4), 0.5), 7 * 5 * 4
    yield "tied", sequence, layers.TiedDense(4), 7 * 5 * 4
    yield "pooling", image, L.MaxPooling2D(2), 0


@pytest.mark.parametrize(("shape", "layer", "expected"), [pytest.param(*case[1:], id=case[0]) for case in cases()])
def test_each_kind_of_layer(shape, layer, expected):
    assert counted(shape, layer) == expected


def attention(layer, queries, keys):
    query, key = keras.Input((queries, 8)), keras.Input((keys, 8))
    called = layer([query, key]) if type(layer) in (L.Attention, L.AdditiveAttention) else layer(query, key)
    count, unknown = multiply_adds(keras.Model([query, key], called))
    assert not unknown
    return count


def test_attention():
    # Two heads of 3 and 5: projections of query, key, value, and back; scores and values.
    heads = L.MultiHeadAttention(2, 3, 5, use_bias=False)
    assert attention(heads, 7, 7) == 7 * 8 * 2 * (3 + 3 + 5 + 5) + 7 * 7 * 2 * (3 + 5)
    # Of four query heads of 3 with two of keys and values.
    grouped = L.GroupQueryAttention(3, 4, 2, use_bias=False)
    assert attention(grouped, 7, 7) == 7 * 8 * 3 * (4 + 2 + 2 + 4) + 7 * 7 * 4 * (3 + 3)
    assert attention(L.Attention(), 7, 9) == 7 * 9 * (8 + 8)
    assert attention(L.AdditiveAttention(), 7, 9) == 7 * 9 * (8 + 8)
    exact = 8 * 2 * (7 * (3 + 5) + 9 * (3 + 5)) + 7 * 9 * 2 * (3 + 5)
    assert exact <= attention(L.MultiHeadAttention(2, 3, 5, use_bias=False), 7, 9) <= 9 / 7 * exact


def test_layers_and_models_called_several_times():
    inputs = keras.Input((7, 5))
    shared = L.Dense(5)
    inner = keras.Sequential([keras.Input((None, 5)), L.Dense(5), L.Conv1D(5, 3, padding="same")])
    outputs = inner(inner(shared(shared(shared(inputs)))))
    shorter = inner(L.AveragePooling1D(7)(outputs))
    # The nested model knows no length by itself.
    assert math.isnan(multiply_adds(inner)[0])
    expected = 3 * 7 * 25 + (2 * 7 + 1) * (25 + 3 * 25)
    assert multiply_adds(keras.Model(inputs, [outputs, shorter])) == (expected, "")
    inputs = keras.Input((2, 7, 5))
    assert multiply_adds(keras.Model(inputs, L.TimeDistributed(inner)(inputs))) == (2 * 7 * 100, "")


def test_calls_that_are_not_the_model_s_own_do_not_count():
    inputs = keras.Input((5,))
    shared = L.Dense(5)
    first = shared(inputs)
    shared(first)
    assert multiply_adds(keras.Model(inputs, first)) == (25, "")


def test_products_of_tensors():
    queries, keys = keras.Input((7, 5)), keras.Input((9, 5))
    for product in (
        keras.ops.matmul(queries, keras.ops.transpose(keys, (0, 2, 1))),
        keras.ops.einsum("bqc,bkc->bqk", queries, keys),
        L.Dot(axes=2)([queries, keys]),
    ):
        assert multiply_adds(keras.Model([queries, keys], product))[0] == pytest.approx(7 * 9 * 5)
    constant = keras.ops.ones((5, 3))
    assert multiply_adds(keras.Model(queries, keras.ops.matmul(queries, constant)))[0] == pytest.approx(7 * 5 * 3)


class Block(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = L.Dense(4)

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.inner(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)


class Leaf(keras.layers.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 4))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel)


class Twice(keras.Model):
    def call(self, inputs):
        return super().call(super().call(inputs))


def test_whitening_meets_a_sample_once():
    whitening = layers.ZCAWhitening()
    whitening.adapt(np.random.default_rng(0).normal(size=(50, 4, 4, 2)).astype(np.float32))
    assert counted((4, 4, 2), whitening) == 32 * 32


def test_what_cannot_be_told():
    assert counted((7, 5), Leaf()) == 7 * 5 * 4
    x, y = keras.Input((5,)), keras.Input((None, None, 3))
    for model, reason in (
        (keras.Model(x, Block()(x)), r"what `block.*` \(Block\) computes with its layers is not known"),
        (Twice(x, L.Dense(5)(x)), r"which layers `twice.*` \(Twice\) calls is not known"),
        (keras.Model(y, L.Conv2D(2, 3)(y)), "the size of what `conv2d.*` takes or returns is not known"),
        (keras.Sequential([keras.Input((None, 3)), L.LSTM(2)]), "the size of what `lstm.*` takes or returns"),
    ):
        count, unknown = multiply_adds(model)
        assert math.isnan(count)
        assert re.search(reason, unknown)


def earlier(model):
    """As it was counted when only Dense and Conv2D were."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += earlier(layer)
        elif isinstance(layer, L.Dense):
            total += math.prod(layer.kernel.shape)
        elif isinstance(layer, L.Conv2D):
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3])
    return total


@pytest.mark.parametrize("name", ["airbench", "convnet", "residual", "mlp_sequential"])
def test_topologies_of_dense_layers_and_convolutions(name):
    model = TOPOLOGIES.create({"topology": name}, input_shape=(32, 32, 3), classes=10, preprocessing=[], seed=0)
    assert multiply_adds(model) == (earlier(model), "")
