"""Searches without training."""

import pytest

from kerastrain import experiments
from kerastrain.tuning import hypermodel


@pytest.fixture
def quick(monkeypatch):
    """Trials that take no time: nothing is built, and the only epoch's val_loss is the learning rate."""

    def fit(recipe, model, data, callbacks, **options):
        callbacks[0].rows.append({"epoch": 0, "val_loss": recipe.optimizer.learning_rate})
        return experiments.Training(callbacks[0].rows, 0.1, 1.0, None)

    monkeypatch.setattr(experiments, "prepare", lambda recipe: None)
    monkeypatch.setattr(experiments, "build", lambda recipe, data, movable: None)
    monkeypatch.setattr(hypermodel, "structure", lambda recipe, model, movable: None)
    monkeypatch.setattr(experiments, "fit", fit)
