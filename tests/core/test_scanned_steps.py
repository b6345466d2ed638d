"""The steps of an execution as one scan: the training that Keras would do step by step."""

import keras
import numpy as np
import pytest
from layer_probes import BACKEND

from kerastrain._core.scanned_steps import scan_steps

pytestmark = pytest.mark.backend

X = np.random.default_rng(0).normal(size=(46, 5)).astype(np.float32)  # Batches of 8: five, and one of 6.
Y = np.random.default_rng(1).integers(0, 3, 46)


def model(steps_per_execution):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((5,)), keras.layers.Dense(8, activation="tanh"), keras.layers.BatchNormalization()]
    layers += [keras.layers.Dropout(0.2, seed=3), keras.layers.Dense(3, activation="softmax")]
    made = keras.Sequential(layers)
    made.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    return made


@pytest.mark.skipif(BACKEND != "jax", reason="elsewhere Keras has a loop of its own, or none")
@pytest.mark.parametrize("arguments", [{}, {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}])
def test_it_is_the_training_step_by_step(arguments):
    ends = []
    for steps in (1, 4):
        made = model(steps)
        assert scan_steps(made) == (steps > 1)
        seen = []
        watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs, seen=seen: seen.append(batch))
        history = made.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=[watch], **arguments)
        ends.append((history.history, made.get_weights(), made.optimizer.iterations, made.evaluate(X, Y, verbose=0)))
        assert len(seen) == 3 * (6 if steps == 1 else 2)  # Callbacks hear of executions.
    (rows, weights, count, evaluated), (rows4, weights4, count4, evaluated4) = ends
    assert int(count) == int(count4) == 18
    for name in rows:
        np.testing.assert_allclose(rows4[name], rows[name], rtol=1e-5)
    for one, other in zip(weights4, weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(evaluated4, evaluated, rtol=1e-4)


@pytest.mark.skipif(BACKEND == "jax", reason="there it is")
def test_elsewhere_nothing_is_done():
    made = model(1)
    assert not scan_steps(made)
    assert made.train_function is None
