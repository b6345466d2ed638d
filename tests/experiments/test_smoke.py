import keras
import pytest

from kerastrain import experiments


def test_smoke_changes_data_and_length_only():
    recipe = experiments.load("residual")
    small = experiments.smoke(recipe)
    assert small.data.name == "synthetic" and small.training.epochs <= 2
    assert (small.model, small.optimizer, small.data.augment) == (recipe.model, recipe.optimizer, recipe.data.augment)
    assert experiments.smoke(small) == small


@pytest.mark.parametrize("name", sorted(experiments.shipped()))
def test_every_shipped_recipe_trains_saves_and_evaluates(name, tmp_path):
    keras.utils.clear_session()
    recipe = experiments.smoke(experiments.load(name))
    result = experiments.run(recipe, tmp_path / "run")
    assert result["status"] == "finished"
    for role in ("train", "val", "test"):
        assert 0 < result[role]["loss"] < 20 and 0 <= result[role]["accuracy"] <= 1
    expected = {"loss", "accuracy"} | ({"f1_score"} if recipe.task == "multilabel" else set())
    assert set(result["test"]) == expected
    found = experiments.load_trained(tmp_path / "run").evaluate()
    assert found["test"] == pytest.approx(result["test"], rel=1e-3, abs=1e-4)
