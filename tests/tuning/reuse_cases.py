"""Trials by one hypermodel, beside the same recipes each trained alone as `kerastrain train` does."""

import functools

import keras
import numpy as np
import pytest

from kerastrain import datasets, experiments
from kerastrain._core.errors import WorkFailedError
from kerastrain.tuning.hypermodel import RecipeHyperModel


class Values:
    """Stands for a space and its recipes, and for keras-tuner's values: all three are the recipe itself."""

    def __init__(self, values=None):
        self.values = values

    def decode(self, values):
        return values

    def fill(self, values, repeat=1):
        return recipe(**values)


def recipe(**sections):
    """A small recipe with some of its sections set."""
    plain = {
        "schema": 1,
        "name": "case",
        "data": {"name": "synthetic", "validation": 100, "train_limit": 96, "preprocess": "rescale"},
        "model": {"topology": "mlp_sequential", "layers": [8]},
        "optimizer": {"rule": "sgd", "learning_rate": 0.05},
        "training": {"batch_size": 32, "epochs": 2, "precision": "float32", "seed": 3},
    }
    for name, section in sections.items():
        plain[name] = {**plain[name], **section} if name in ("data", "training", "optimizer") else section
    return experiments.Recipe.model_validate(plain)


_load = functools.cache(datasets.load)


def prepared(made):
    """The data of a recipe; the images are made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", _load)
        return experiments.prepare(made)


def alone(sections):
    """History and weights of a recipe, trained in a session of its own."""
    keras.utils.clear_session()
    made = recipe(**sections)
    data = prepared(made)
    model = experiments.build(made, data)
    return _outcome(model, experiments.fit(made, model, data))


def together(trials):
    """The same of each of `trials`, one after the other by one hypermodel, None where it diverged, and whether it
    re-used a model."""
    tuned = RecipeHyperModel(Values(), Values())
    found, seen = [], []
    for sections in trials:
        model = tuned.build(Values(sections))
        try:
            outcome = _outcome(model, tuned.fit(Values(sections), model))
        except WorkFailedError:
            outcome = None
        found.append((outcome, any(model is one for one in seen)))
        seen.append(model)
    return found


def _outcome(model, training):
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in training.history]
    # Dropout counts its draws, and none at a rate of 0; with its rate in a variable it has two weights more.
    kept = [v for v in model.variables if "dropout" not in v.path and "seed_generator" not in v.path]
    return rows, [np.array(keras.ops.convert_to_numpy(variable)) for variable in kept]


def assert_same(found, expected):
    """Every bit of history and weights."""
    assert found[0] == expected[0]
    assert len(found[1]) == len(expected[1])
    for mine, theirs in zip(found[1], expected[1], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def assert_near(found, expected):
    """History and weights within what rounding comes to in a few steps."""
    for row, other in zip(found[0], expected[0], strict=True):
        assert row == pytest.approx(other, rel=1e-3)
    for mine, theirs in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=2e-4)


def assert_as_alone(trials, reused, compare=assert_same):
    """That trials come out as each alone, and which of them re-used a model."""
    results = together(trials)
    assert [again for _, again in results] == reused
    known = []
    for sections, (found, _) in zip(trials, results, strict=True):
        expected = next((outcome for other, outcome in known if other == sections), None)
        if expected is None:
            expected = alone(sections)
            known.append((sections, expected))
        compare(found, expected)
