"""Searches without training."""

import importlib
import types

import pytest

from kerastrain import experiments
from kerastrain.tuning import hypermodel


@pytest.fixture(autouse=True)
def without_reports(monkeypatch):
    """A report at the end of every search would take longer than the searches of these tests."""
    # By `kerastrain.tuning.search` one reaches the function of that name.
    module = importlib.import_module("kerastrain.tuning.search")
    monkeypatch.setattr(module, "report_at_end", lambda folder, announce: None)


@pytest.fixture
def quick(monkeypatch):
    """Trials that take no time: nothing is built, and the only epoch's val_loss is the learning rate."""

    def fit(recipe, model, data, callbacks, **options):
        callbacks[0].rows.append({"epoch": 0, "val_loss": recipe.optimizer.learning_rate})
        return experiments.Training(callbacks[0].rows, 0.1, 1.0, None)

    monkeypatch.setattr(experiments, "prepare", lambda recipe, *loaded: None)
    monkeypatch.setattr(experiments, "build", lambda recipe, data, **options: None)
    monkeypatch.setattr(hypermodel, "structure", lambda recipe, model, movable: None)
    monkeypatch.setattr(experiments, "fit", fit)


@pytest.fixture
def told(monkeypatch):
    """Trials that take no time, with callbacks: set `curve(recipe)`, the val_loss after each epoch."""
    told = types.SimpleNamespace(curve=lambda recipe: [recipe.optimizer.learning_rate], begun=[], saved=[])

    class Model:
        optimizer = types.SimpleNamespace(variables=[])
        variables = ()
        stop_training = False

        def save(self, path):
            told.saved.append(told.begun[-1])
            path.write_text(told.begun[-1].to_yaml())

    told.Model = Model

    def fit(recipe, model, data, callbacks, **options):
        told.begun.append(recipe)
        for callback in callbacks:
            callback.set_model(model)
            callback.set_params({"epochs": recipe.training.epochs})
        for epoch, loss in enumerate(told.curve(recipe)):
            callbacks[0].rows.append({"epoch": epoch, "val_loss": loss, "seconds": 0.1})
            for callback in callbacks[1:]:
                callback.on_epoch_end(epoch)
            if model.stop_training:
                break
        return experiments.Training(callbacks[0].rows, 0.1, 1.0, None)

    monkeypatch.setattr(experiments, "prepare", lambda recipe, *loaded: None)
    monkeypatch.setattr(experiments, "build", lambda recipe, data, **options: Model())
    monkeypatch.setattr(hypermodel, "structure", lambda recipe, model, movable: None)
    monkeypatch.setattr(hypermodel, "put_into", lambda source, target: True)
    # The function of that name hides the module.
    searching = importlib.import_module("kerastrain.tuning.search")
    monkeypatch.setattr(searching, "test_scores", lambda hypermodel, found, path: {"loss": 0.5})
    monkeypatch.setattr(experiments, "fit", fit)
    return told
