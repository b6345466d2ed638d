import keras
import PIL.Image
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
    PIL.Image.new("RGB", (32, 32)).save(tmp_path / "black.png")
    (row,) = experiments.load_trained(tmp_path / "run").predict([tmp_path / "black.png"])
    assert set(row["probabilities"]) == set(result["data"]["class_names"])
    if recipe.task == "multiclass":
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-4)
