"""Recipes that hold nothing out of the training set, and those that evaluate on some sets only."""

import csv

import pytest

from kerastrain import experiments
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError


def recipe(**sections):
    plain = {
        "name": "all_of_it",
        "data": {"name": "synthetic", "validation": 0},
        "model": {"topology": "mlp_functional", "layers": [4]},
        "training": {"epochs": 2},
        **sections,
    }
    return experiments.from_document(yaml_document.Document("recipe", plain, {}))


def test_all_images_are_trained_on_and_nothing_is_validated(tmp_path):
    whole = experiments.prepare(recipe())
    assert whole.validation is None and len(whole.train[1]) == 12_000
    told = []
    result = experiments.run(experiments.smoke(recipe()), tmp_path / "run", announce=told.append)
    assert set(result) >= {"train", "test"} and "val" not in result
    assert result["data"]["samples"] == {"train": 256, "validation": 0, "test": 2_000}
    with (tmp_path / "run" / "history.csv").open(newline="") as stream:
        assert set(next(csv.DictReader(stream))) == {"epoch", "loss", "accuracy", "learning_rate", "seconds"}
    assert any("256 train, 0 val, 2,000 test" in line for line in told)


def test_only_the_roles_that_are_asked_for(tmp_path):
    asked = recipe(evaluation={"roles": ["test"]})
    assert {"train", "val", "test"} & set(experiments.run(experiments.smoke(asked), tmp_path / "run")) == {"test"}


@pytest.mark.parametrize("callback", ["early_stopping", {"type": "best_model", "monitor": "val_accuracy"}])
def test_a_callback_that_watches_the_validation_is_refused(callback):
    with pytest.raises(InputError, match=r"monitor.: expected one of loss, accuracy"):
        recipe(callbacks=[callback])
