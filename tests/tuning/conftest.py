"""Searches without training."""

import importlib

import pytest

from kerastrain import experiments


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

    monkeypatch.setattr(experiments, "prepare", lambda recipe: None)
    monkeypatch.setattr(experiments, "build", lambda recipe, data: None)
    monkeypatch.setattr(experiments, "fit", fit)
