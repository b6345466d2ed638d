"""What holds for every rule with movable hyperparameters in a fit: files, jit, float16, callbacks, embeddings."""

import keras
import numpy as np
import pytest
from tunable_rules import BACKEND, INPUTS, RULES, TARGETS, fit, linear_model, rule

from kerastrain.optimizers.momentum_sgd import MomentumSGD


def linear_gradients(weight, bias):
    residual = np.float64(INPUTS) @ weight + bias - TARGETS
    return 2 * np.float64(INPUTS).T @ residual / len(INPUTS), 2 * residual.mean(axis=0)


@pytest.mark.backend
@pytest.mark.parametrize("name", RULES)
def test_saved_loaded_and_continued_is_uninterrupted(name, tmp_path):
    moving = {min(RULES[name][2]): keras.optimizers.schedules.PolynomialDecay(0.9, 10, 0.5)}

    straight = linear_model(rule(name, **moving))
    fit(straight, 2)
    # Moved by hand: the config holds the value given, the state the present one.
    straight.optimizer.hyperparameters[max(RULES[name][2])].assign(0.5)
    straight.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for model in (straight, loaded):
        fit(model, 3)
    for one, other in zip(straight.get_weights(), loaded.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()
    for one, other in zip(straight.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other))


@pytest.mark.backend
@pytest.mark.parametrize("name", RULES)
def test_compiled_or_not_the_path_is_the_same(name):
    if BACKEND == "torch":
        pytest.skip("jit on torch is a compiler of its own, which Keras leaves off.")
    weights = []
    for options in ({"jit_compile": True}, {"jit_compile": False}, {"run_eagerly": True, "jit_compile": False}):
        model = linear_model(rule(name), **options)
        fit(model, 4)
        weights.append(model.get_weights())
    for other in weights[1:]:
        for one, two in zip(weights[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("name", RULES)
def test_float16_with_loss_scaling_trains(name):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = linear_model(rule(name, learning_rate=0.05))
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    losses = fit(model, 10).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    # The steps whose scaled gradients overflowed are left out, the rest are those in full precision.
    steps = int(keras.ops.convert_to_numpy(model.optimizer.inner_optimizer.iterations))
    assert 5 <= steps <= 10
    full = linear_model(rule(name, learning_rate=0.05), run_eagerly=BACKEND == "tensorflow")
    fit(full, steps)
    for one, other in zip(model.get_weights(), full.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=0.03)


@pytest.mark.backend
def test_a_callback_moves_hyperparameters_without_a_retrace():
    traces = []

    def loss(targets, outputs):
        traces.append(1)
        return keras.ops.mean(keras.ops.square(targets - outputs), axis=-1)

    moves = {3: {"momentum": 0.5}, 6: {"momentum": 0.0, "weight_decay": 0.2, "l2": 0.5}}

    class Mover(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            for name, value in moves.get(epoch, {}).items():
                self.model.optimizer.hyperparameters[name].assign(value)

    model = linear_model(MomentumSGD(0.05, momentum=0.9, l2=0.1, weight_decay=0.0), loss=loss)
    fit(model, 1)
    model.set_weights([np.ones((3, 1)), np.zeros(1)])
    seen = len(traces)
    momentum, l2, decay = 0.9, 0.1, 0.0
    values = [np.ones((3, 1)), np.zeros(1)]
    # The velocity that the first epoch left behind.
    velocities = [
        -0.05 * (gradient + l2 * value) for gradient, value in zip(linear_gradients(*values), values, strict=True)
    ]
    for epoch in range(9):
        now = moves.get(epoch, {})
        momentum, l2, decay = now.get("momentum", momentum), now.get("l2", l2), now.get("weight_decay", decay)
        found = linear_gradients(*values)
        for index, gradient in enumerate(found):
            values[index] = values[index] * (1 - 0.05 * decay)
            velocities[index] = momentum * velocities[index] - 0.05 * (gradient + l2 * values[index])
            values[index] = values[index] + velocities[index]
    fit(model, 9, callbacks=[Mover()])
    for one, other in zip(model.get_weights(), values, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    if BACKEND != "torch":
        assert len(traces) == seen > 0


@pytest.mark.parametrize("name", RULES)
def test_repeated_rows_of_an_embedding_count_together(name):
    rows = np.array([[0, 1, 1, 1, 2]])

    def weights(model):
        alike = {"exclude": []} if name == "orthogonalized" else {}  # Which takes tables of an embedding for others.
        model.compile(optimizer=rule(name, learning_rate=0.1, **alike), loss="mse", run_eagerly=True)
        model.fit(inputs[type(model.layers[0])], np.ones((1, 5, 2)), epochs=3, verbose=0)
        return model.get_weights()[0]

    table = np.random.default_rng(1).normal(size=(4, 2)).astype(np.float32)
    inputs = {keras.layers.Embedding: rows, keras.layers.Dense: np.eye(4, dtype=np.float32)[rows]}
    embedding = keras.Sequential([keras.Input((5,)), keras.layers.Embedding(4, 2)])
    dense = keras.Sequential([keras.Input((5, 4)), keras.layers.Dense(2, use_bias=False)])
    for model in (embedding, dense):
        model.set_weights([table])
    np.testing.assert_allclose(weights(embedding), weights(dense), rtol=1e-5, atol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("name", RULES)
def test_a_fit_goes_on_from_an_update_by_hand(name):
    # On JAX, variables that share a buffer after an update outside jit cannot be donated to the compiled step.
    model = linear_model(rule(name))
    model.optimizer.apply([keras.ops.ones((3, 1)), keras.ops.ones((1,))], model.trainable_variables)
    fit(model, 2)
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 3
    assert all(np.isfinite(value).all() for value in model.get_weights())
