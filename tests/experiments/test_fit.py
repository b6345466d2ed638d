import os
import signal

import keras
import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core import accelerator, small_data
from kerastrain._core.errors import InputError, WorkFailedError
from kerastrain.datasets import Batches


def weights(model):
    return [np.array(value) for value in model.get_weights()]


def softmax_gradients(kernel, bias, images, labels):
    """Mean gradients of the cross-entropy of softmax(x W + b), and that loss."""
    x = images.reshape(len(images), -1) / 255.0
    logits = x @ kernel + bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    loss = -np.log(probabilities[np.arange(len(x)), labels]).mean()
    deltas = probabilities - np.eye(kernel.shape[1])[labels]
    return x.T @ deltas / len(x), deltas.mean(axis=0), loss


@pytest.mark.backend
@pytest.mark.parametrize("batch_size", [61, 16, 30, 1000])
def test_full_batch_learning_is_gradient_descent_on_the_whole_set(tiny, tiny_recipe, batch_size):
    # 61 samples are divided by none of 16 and 30.
    recipe = tiny_recipe(
        model__layers=[], training__strategy="full_batch", training__batch_size=batch_size, optimizer__learning_rate=0.5
    )
    model = experiments.build(recipe, tiny)
    kernel, bias = (value.astype(np.float64) for value in weights(model))
    losses = []
    for _ in range(2):
        kernel_gradient, bias_gradient, loss = softmax_gradients(kernel, bias, *tiny.train)
        losses.append(loss)
        kernel, bias = kernel - 0.5 * kernel_gradient, bias - 0.5 * bias_gradient
    training = experiments.fit(recipe, model, tiny)
    found = weights(model)
    np.testing.assert_allclose(found[0], kernel, atol=1e-5)
    np.testing.assert_allclose(found[1], bias, atol=1e-5)
    # Keras's running loss weighs batches by their size once more, so it is a little off when their sizes differ.
    np.testing.assert_allclose([row["loss"] for row in training.history], losses, rtol=1e-2)


def test_sequential_learning_takes_one_sample_a_step(tiny, tiny_recipe):
    recipe = tiny_recipe(model__layers=[], training__strategy="sequential", training__epochs=1)
    model = experiments.build(recipe, tiny)
    kernel, bias = (value.astype(np.float64) for value in weights(model))
    experiments.fit(recipe, model, tiny)

    images, labels = tiny.train
    order = Batches(images, labels, 1, seed=recipe.training.seed).order
    for index in order:
        kernel_gradient, bias_gradient, _ = softmax_gradients(kernel, bias, images[[index]], labels[[index]])
        kernel, bias = kernel - 0.01 * kernel_gradient, bias - 0.01 * bias_gradient
    np.testing.assert_allclose(weights(model)[0], kernel, atol=1e-5)
    np.testing.assert_allclose(weights(model)[1], bias, atol=1e-5)


def test_history_rows(tiny, tiny_recipe):
    recipe = tiny_recipe(
        optimizer__learning_rate={"type": "step_decay", "initial": 0.1, "factor": 0.5, "every_epochs": 1}
    )
    training = experiments.fit(recipe, experiments.build(recipe, tiny), tiny)
    assert [row["epoch"] for row in training.history] == [0, 1]
    keys = {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
    assert set(training.history[0]) == keys
    assert training.stopped is None
    assert training.images_per_second == pytest.approx(2 * 61 / training.seconds)


def test_divergence_is_a_failure_that_names_the_remedy(tiny, tiny_recipe):
    recipe = tiny_recipe(optimizer__learning_rate=1e20, training__epochs=5)
    with pytest.raises(WorkFailedError, match=r"diverged: the training loss became .* Lower `optimizer.learning_rate`"):
        experiments.fit(recipe, experiments.build(recipe, tiny), tiny)


def test_early_stopping_ends_the_training(tiny, tiny_recipe):
    stopping = {"type": "early_stopping", "monitor": "val_loss", "patience": 1, "min_delta": 100.0}
    recipe = tiny_recipe(callbacks=[stopping], training__epochs=9)
    assert len(experiments.fit(recipe, experiments.build(recipe, tiny), tiny).history) == 2


def test_early_stopping_restores_the_best_epoch(tiny, tiny_recipe):
    stopping = {"type": "early_stopping", "monitor": ["val_loss", "val_accuracy"], "stop_when": "any", "patience": 2}
    stopping |= {"min_delta": [100.0, 0.0], "restore_best_weights": True}
    recipe, seen = tiny_recipe(callbacks=[stopping], training__epochs=9), []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(weights(model)))
    model = experiments.build(recipe, tiny)
    training = experiments.fit(recipe, model, tiny, callbacks=[keep])
    assert len(training.history) == 3
    assert training.notes[0].startswith("The model holds the weights of epoch 1, the best (val_loss ")
    for one, other, last in zip(weights(model), seen[0], seen[2], strict=True):
        assert one.tobytes() == other.tobytes() != last.tobytes()


def test_plateaus_scale_a_schedule(tiny, tiny_recipe):
    schedule = {"type": "step_decay", "initial": 0.1, "factor": 0.5, "every_epochs": 1}
    plateau = {"type": "reduce_on_plateau", "patience": 1, "factor": 0.1, "min_delta": 100.0}
    recipe = tiny_recipe(optimizer__learning_rate=schedule, callbacks=[plateau], training__epochs=3)
    history = experiments.fit(recipe, experiments.build(recipe, tiny), tiny).history
    # Of the next update: 0.1 / 2^epoch, and a tenth of it after the second epoch, which is no better by 100.
    expected = [0.05, 0.025 * 0.1, 0.0125 * 0.01]
    np.testing.assert_allclose([row["learning_rate"] for row in history], expected, rtol=1e-5)


def moved(hyperparameter, **options):
    return {"type": "schedule_hyperparameter", "hyperparameter": hyperparameter, **options}


def test_hyperparameters_move_along_schedules(tiny, tiny_recipe):
    decay = {"type": "step_decay", "initial": 0.8, "factor": 0.5, "every_epochs": 1}
    recipe = tiny_recipe(
        optimizer__rule={"type": "momentum_sgd", "momentum": 0.1},
        model__dropout={"type": "variable_rate", "rate": 0.1},
        callbacks=[moved("momentum", schedule=decay, by="step"), moved("dropout", schedule=decay)],
        training__epochs=3,
        training__steps_per_execution=1,
    )
    model, seen = experiments.build(recipe, tiny), []
    rate = next(layer for layer in model.layers if hasattr(layer, "dropout_rate")).dropout_rate
    momentum = model.optimizer.hyperparameters["momentum"]
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append([float(keras.ops.convert_to_numpy(v)) for v in (momentum, rate)])
    )
    experiments.fit(recipe, model, tiny, callbacks=[keep])
    np.testing.assert_allclose(seen, [[0.8, 0.8], [0.4, 0.4], [0.2, 0.2]], rtol=1e-6)


def test_a_hyperparameter_that_the_rule_does_not_have_is_refused_before_the_run(tiny, tiny_recipe, tmp_path):
    decay = {"type": "step_decay", "initial": 0.8, "factor": 0.5, "every_epochs": 1}
    recipe = tiny_recipe(callbacks=[moved("momentum", schedule=decay)])
    with pytest.raises(InputError, match=r"`momentum` is not a hyperparameter.*Known: learning_rate"):
        experiments.run(recipe, tmp_path / "run", data=tiny)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_groups_are_unfrozen_one_after_another(tiny, tiny_recipe):
    groups = [{"pattern": "layer1_", "trainable": False, "name": "first"}]
    unfreezing = {"type": "gradual_unfreezing", "epochs": [2]}
    recipe = tiny_recipe(optimizer__groups=groups, callbacks=[unfreezing], training__epochs=3)
    model, seen = experiments.build(recipe, tiny), []
    kernel = model.get_layer("layer1_dense").kernel
    seen.append(np.array(keras.ops.convert_to_numpy(kernel)))
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(np.array(keras.ops.convert_to_numpy(kernel)))
    )
    experiments.fit(recipe, model, tiny, callbacks=[keep])
    assert [np.array_equal(one, seen[0]) for one in seen] == [True, True, True, False]


def test_snapshots_are_kept_in_the_run_folder(tiny, tiny_recipe, tmp_path):
    recipe = tiny_recipe(callbacks=[{"type": "snapshot_ensemble", "every_epochs": 2}], training__epochs=4)
    experiments.run(recipe, tmp_path / "run", data=tiny)
    names = [path.name for path in sorted((tmp_path / "run" / "snapshots").iterdir())]
    assert names == ["snapshot_0002.keras", "snapshot_0004.keras"]
    last = keras.saving.load_model(tmp_path / "run" / "snapshots" / names[1])
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    for one, other in zip(weights(last), weights(model), strict=True):
        assert one.tobytes() == other.tobytes()
    experiments.run(tiny_recipe(training__epochs=1), tmp_path / "run", data=tiny, overwrite=True)
    assert not (tmp_path / "run" / "snapshots").exists()


class Signals(keras.callbacks.Callback):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_training_at_the_next_step(tiny, tiny_recipe, number):
    recipe = tiny_recipe(training__epochs=50)
    before = signal.getsignal(number)
    training = experiments.fit(recipe, experiments.build(recipe, tiny), tiny, callbacks=[Signals(number)])
    assert training.stopped == signal.Signals(number).name
    assert len(training.history) == 1  # the epoch that was cut short is none
    assert signal.getsignal(number) == before


@pytest.mark.backend
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_every_precision_trains_with_float32_weights(tiny, tiny_recipe, precision):
    recipe = tiny_recipe(training__precision=precision)
    model = experiments.build(recipe, tiny)
    training = experiments.fit(recipe, model, tiny)
    assert np.isfinite(training.history[-1]["loss"])
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    assert model.get_layer("layer1_activation").compute_dtype == precision
    on_a_processor = keras.backend.backend() == "tensorflow" and accelerator.device_name() is None
    # There the gradient of its bias would be lost.
    assert model.get_layer("layer1_dense").compute_dtype == ("float32" if on_a_processor else precision)


def test_the_training_set_gives_the_statistics_of_standardize(tiny, tiny_recipe):
    model = experiments.build(tiny_recipe(data__preprocess="standardize"), tiny)
    images = tiny.train[0].astype(np.float64)
    layer = model.get_layer("standardize")
    expected = (images - images.mean(axis=(0, 1, 2))) / images.std(axis=(0, 1, 2))
    np.testing.assert_allclose(np.array(layer(tiny.train[0])), expected, atol=1e-4)


@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_fit_sees_the_order_of_seed_and_epoch(steps_per_execution, monkeypatch, tiny, tiny_recipe):
    """Keras permutes batches and ends an epoch before the first one, unless it is told and dealt with."""
    recipe = tiny_recipe(training__steps_per_execution=steps_per_execution, training__epochs=3)
    trained = []
    original = Batches.__getitem__

    def noted(self, index):
        trained.append((tuple(self.order), index))
        return original(self, index)

    monkeypatch.setattr(Batches, "__getitem__", noted)
    monkeypatch.setattr(small_data, "SMALL_BYTES", 0)  # tests/core/test_small_data.py has the order of small data
    model = experiments.build(recipe, tiny)
    experiments.fit(recipe, model, tiny)
    expected = [
        (tuple(np.random.default_rng([0, epoch, 0]).permutation(61)), index) for epoch in range(3) for index in range(4)
    ]
    # Keras looks at a few batches first, to learn their shapes.
    assert trained[-len(expected) :] == expected
