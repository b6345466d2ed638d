import keras
import numpy as np
import pytest

from kerastrain.topologies import mlp_sequential
from kerastrain.topologies.rates_in_variables import RateInVariableDropout, rates_in_variables


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the same bits on TensorFlow only")
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_it_is_kerass_dropout_to_the_bit_in_both_directions(dtype):
    import tensorflow as tf

    rates = [0.1, 0.3, 0.9, *np.random.default_rng(0).uniform(0.001, 0.95, 5)]
    for seed, rate in enumerate(map(float, rates)):
        x = tf.constant(np.random.default_rng(seed).normal(size=(64, 50)), dtype.removeprefix("mixed_"))
        results = []
        for kind in (keras.layers.Dropout, RateInVariableDropout):
            layer = kind(rate, seed=seed, dtype=dtype)

            @tf.function
            def both(x, layer=layer):
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    y = layer(x, training=True)
                    total = tf.reduce_sum(tf.cast(y, "float32") ** 2)
                return y, tape.gradient(total, x)

            results.append([tf.cast(value, "float32").numpy() for _ in range(2) for value in both(x)])
        for mine, theirs in zip(*results, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_topology_has_it_where_it_is_asked_for():
    with rates_in_variables():
        model = mlp_sequential(layers=[4, 4], dropout=0.2, input_shape=(3,))
        without = mlp_sequential(layers=[4], dropout=0.0, input_shape=(3,))
    assert sum(type(layer) is RateInVariableDropout for layer in model.layers) == 2
    assert not any(type(layer) is RateInVariableDropout for layer in without.layers)
    plain = mlp_sequential(layers=[4], dropout=0.2, input_shape=(3,))
    assert not any(type(layer) is RateInVariableDropout for layer in plain.layers)
