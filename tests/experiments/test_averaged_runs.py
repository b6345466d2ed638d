"""Runs whose optimizer averages: evaluated and saved with the averaged weights."""

import keras
import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core.errors import InputError

pytestmark = pytest.mark.backend


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append([np.array(value) for value in self.model.get_weights()])


@pytest.mark.parametrize(("averaging", "start"), [("polyak", 0), ({"type": "polyak", "start_epoch": 1}, 4)])
def test_the_saved_model_is_the_mean_of_the_iterates(averaging, start, tiny, tiny_recipe, tmp_path):
    recorder, told = Recorder(), []
    recipe = tiny_recipe(optimizer__averaging=averaging, training__steps_per_execution=1)
    result = experiments.run(recipe, tmp_path / "run", data=tiny, callbacks=[recorder], announce=told.append)
    assert len(recorder.weights) == 8 and any("averaged weights" in line for line in told)
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    for index, value in enumerate(model.get_weights()):
        expected = np.mean([np.float64(weights[index]) for weights in recorder.weights[start:]], axis=0)
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)
    images, labels = tiny.test
    assert result["test"]["accuracy"] == pytest.approx(
        (model.predict(images, verbose=0).argmax(axis=1) == labels).mean()
    )


def test_batch_normalization_has_the_statistics_of_the_averaged_weights(tiny, tiny_convnet, tmp_path):
    document = tiny_convnet.plain()
    document["optimizer"]["averaging"] = {"type": "polyak"}
    document["model"]["dropout"] = None
    document["data"]["augment"] = {"crop": 0, "flip": "none"}
    document["training"].update(batch_size=61, epochs=6)
    recipe = experiments.Recipe.model_validate(document)
    experiments.run(recipe, tmp_path / "run", data=tiny)
    model = keras.saving.load_model(tmp_path / "run" / "model.keras")
    norm = next(layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    before = keras.Model(model.inputs, norm.input)
    # One batch is the whole training set: its mean and variance in front of the first normalization, by hand.
    hidden = np.float64(before.predict(tiny.train[0], verbose=0))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_mean), hidden.mean(axis=(0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_variance), hidden.var(axis=(0, 1, 2)), rtol=1e-3)


def test_a_run_with_nesterovs_lookahead_is_saved_at_theta(tiny, tiny_recipe, tmp_path):
    rule = {"type": "lookahead_nesterov", "momentum": 0.5}
    recipe = tiny_recipe(optimizer__rule=rule, training__steps_per_execution=1)
    recorder = Recorder()
    experiments.run(recipe, tmp_path / "run", data=tiny, callbacks=[recorder])
    saved = keras.saving.load_model(tmp_path / "run" / "model.keras").get_weights()
    # p' - p = mu v' - eta g, and theta = p - mu v; where nothing moved any more they would be one.
    moved = [np.abs(a - b).max() for a, b in zip(saved, recorder.weights[-1], strict=True)]
    plain = tiny_recipe(optimizer__rule={"type": "sgd", "momentum": 0.5, "nesterov": True})
    experiments.run(plain, tmp_path / "plain", data=tiny)
    keras_point = keras.saving.load_model(tmp_path / "plain" / "model.keras").get_weights()
    assert max(moved) > 1e-5
    for point, other in zip(recorder.weights[-1], keras_point, strict=True):
        np.testing.assert_allclose(point, other, rtol=1e-4, atol=1e-6)


def test_the_averages_are_watched_during_the_run(tiny, tiny_convnet, tmp_path):
    document = tiny_convnet.plain()
    document["optimizer"]["averaging"] = {"type": "polyak"}
    document["callbacks"] = [{"type": "averaged_weights", "recalibration_samples": 61}]
    document["callbacks"] += [{"type": "early_stopping", "monitor": "val_averaged_loss", "patience": 1}]
    recipe = experiments.Recipe.model_validate(document)
    result = experiments.run(recipe, tmp_path / "run", data=tiny)
    history = (tmp_path / "run" / "history.csv").read_text().splitlines()
    names, last = history[0].split(","), history[-1].split(",")
    assert {"val_averaged_loss", "val_averaged_accuracy"} <= set(names)
    # The run ends with the averages and the statistics of the same samples, and evaluates the same way.
    for metric in ("loss", "accuracy"):
        averaged = float(last[names.index(f"val_averaged_{metric}")])
        assert averaged == pytest.approx(result["val"][metric], rel=1e-4)


def test_nothing_averaged_is_refused_before_the_run(tiny, tiny_recipe, tmp_path):
    with pytest.raises(InputError, match="must be compiled with a ComposedOptimizer that has `averaging`"):
        experiments.run(tiny_recipe(callbacks=["averaged_weights"]), tmp_path / "run", data=tiny)
    assert not (tmp_path / "run" / "recipe.yaml").exists()
