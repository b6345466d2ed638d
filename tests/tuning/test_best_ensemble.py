"""The best trials of a search as one model."""

import json

import keras
import numpy as np
import pytest
from recorded_searches import record, write_search
from small_searches import RECIPE

from kerastrain import experiments, topologies, tuning
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError, RefusedError
from kerastrain.tuning import best_ensemble
from kerastrain.tuning.best_ensemble import recipes_of
from kerastrain.tuning.recorded_search import read_search

SPACE = {"optimizer.learning_rate": {"type": "float", "min": 0.001, "max": 0.1, "scale": "log"}}
RATES = (0.05, 0.002, 0.02)
# By these the second and the third are the best two.
VALUES = (2.5, 2.1, 2.2)


def tiny(**changes):
    return experiments.from_document(yaml_document.parse(RECIPE, "tiny"), {"training.epochs": 1, **changes})


def search_of(folder, *, space=SPACE, recipe=None, parameters=None, **summary):
    parameters = parameters or [{"optimizer.learning_rate": rate} for rate in RATES]
    records = [record(n, chosen, [v]) for n, (chosen, v) in enumerate(zip(parameters, VALUES, strict=True), start=1)]
    return write_search(folder, space, records, recipe=recipe or tiny(), **summary)


def quick_run(recipe, out, **options):
    """As if it had been trained: a small model whose weights follow from the folder's name."""
    keras.utils.set_random_seed(int(out.name[-1]))
    kernel = keras.initializers.RandomNormal(stddev=0.01)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(10, "softmax", True, kernel)]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / "best_model.keras")
    return {"status": "finished"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = search_of(tmp_path_factory.mktemp("ensemble") / "search")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "run", quick_run)
        return folder, tuning.ensemble(folder, 2)


def softmax_scores(probabilities, labels):
    chosen = probabilities[np.arange(len(labels)), labels]
    return {"loss": float(-np.log(chosen).mean()), "accuracy": float((probabilities.argmax(1) == labels).mean())}


def test_the_vote_is_the_mean_of_the_best_trials(made):
    folder, result = made
    assert [member["trial"] for member in result["members"]] == [2, 3]
    data = experiments.prepare(tiny())
    for role, name in (("val", "validation"), ("test", "test")):
        images, labels = getattr(data, name)
        answers = []
        for member in result["members"]:
            model = keras.saving.load_model(folder / "ensemble" / f"trial_{member['trial']:04d}" / "best_model.keras")
            answers.append(model.predict(images, verbose=0))
            assert member[role] == pytest.approx(softmax_scores(answers[-1], labels), rel=1e-4)
        vote = np.mean(answers, axis=0)
        assert result[role] == pytest.approx(softmax_scores(vote, labels), rel=1e-4)
    loaded = keras.saving.load_model(result["ensemble"])
    np.testing.assert_allclose(loaded.predict(images, verbose=0), vote, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_each_member_is_a_run_of_the_trials_recipe_at_its_best_epoch(tmp_path):
    told = []
    folder = search_of(tmp_path / "search", recipe=tiny(**{"training.epochs": 3}))
    result = tuning.ensemble(folder, 2, announce=told.append)
    for member, rate in zip(result["members"], RATES[1:], strict=True):
        run = folder / "ensemble" / f"trial_{member['trial']:04d}"
        recipe = experiments.load(run / "recipe.yaml")
        assert recipe.optimizer.learning_rate == rate
        assert [callback["type"] for callback in recipe.callbacks] == ["best_model"]
        rows = (run / "history.csv").read_text().splitlines()
        column = rows[0].split(",").index("val_loss")
        assert member["val"]["loss"] == pytest.approx(min(float(row.split(",")[column]) for row in rows[1:]), rel=1e-4)
    assert tuning.ensemble(folder, 2) == result
    assert [line for line in told if line.startswith("Member")] == [
        "Member 1 of 2: trial 2, value 2.1",
        "Member 2 of 2: trial 3, value 2.2",
    ]


def test_a_finished_one_is_returned_and_a_larger_one_trains_what_is_missing(made, monkeypatch):
    folder, result = made
    trained = []

    def run(recipe, out, **options):
        trained.append(out.name)
        return {"status": "interrupted", "stopped": "SIGINT"}

    monkeypatch.setattr(experiments, "run", run)
    assert tuning.ensemble(folder, 2) == result
    assert json.loads((folder / "ensemble" / "ensemble.json").read_text()) == result
    assert trained == []
    assert tuning.ensemble(folder, 3) == {"search": str(folder), "status": "interrupted", "stopped": "SIGINT"}
    assert trained == ["trial_0002"]


def test_the_weights_that_the_search_kept_are_not_trained_again(tmp_path, made, monkeypatch):
    folder = search_of(tmp_path / "search")
    kept = made[0] / "ensemble" / "trial_0002" / "best_model.keras"
    (folder / "best_model.keras").write_bytes(kept.read_bytes())
    voted, trained = [], []
    monkeypatch.setattr(best_ensemble, "_vote", lambda chosen, *_: voted.extend(one.weights for one in chosen) or {})
    monkeypatch.setattr(experiments, "run", lambda recipe, out, **options: trained.append(out.name) or {})
    tuning.ensemble(folder, 2)
    assert trained == ["trial_0003"]
    assert voted == [folder / "best_model.keras", folder / "ensemble" / "trial_0003" / "best_model.keras"]


def test_members_of_other_seeds_have_no_common_validation_score(tmp_path, monkeypatch):
    space = {"training.seed": {"type": "choice", "values": [0, 1, 2]}}
    folder = search_of(tmp_path / "search", space=space, parameters=[{"training.seed": seed} for seed in (0, 1, 2)])
    monkeypatch.setattr(experiments, "run", quick_run)
    monkeypatch.setattr(best_ensemble, "_scores", lambda *_: {"loss": 1.0})
    told = []
    result = tuning.ensemble(folder, 2, announce=told.append)
    assert (result["val"], result["test"]) == (None, {"loss": 1.0})
    assert "No validation scores: what one member was held back, another has seen." in told


def test_recipes_follow_what_the_command_line_of_the_search_set(tmp_path):
    smoked = experiments.smoke(tiny())
    folder = search_of(tmp_path / "search", recipe=tiny())
    summary = json.loads((folder / "search.json").read_text())
    summary["identity"]["recipe"] = json.loads(json.dumps(smoked.plain()))
    (folder / "search.json").write_text(json.dumps(summary))
    made = recipes_of(read_search(folder))
    assert made.smoke
    assert made.fill({}).plain() == smoked.plain()


@pytest.mark.parametrize("top", [1, 4, True, 2.0])
def test_too_few_or_too_many_are_refused(tmp_path, top):
    with pytest.raises(
        InputError, match=r"`top`: expected a whole number from 2 to 3, the number of completed trials in .*search. Rec"
    ):
        tuning.ensemble(search_of(tmp_path / "search"), top)


def test_what_cannot_vote_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "run", None)
    folder = search_of(tmp_path / "changed")
    (tmp_path / "changed_recipe.yaml").write_text(tiny(**{"training.batch_size": 32}).to_yaml())
    with pytest.raises(
        RefusedError, match=r"no longer the one that was searched. It differs in .*batch_size: 64 -> 32"
    ):
        tuning.ensemble(folder, 2)
    two_inputs = experiments.load("multi_input", {"data.name": "synthetic"})
    assert topologies.DATA_FORMS["multi_input"] == "image_and_histogram"
    with pytest.raises(InputError, match=r"trial 2: a vote is of models with one input"):
        tuning.ensemble(search_of(tmp_path / "two", recipe=two_inputs), 2)
    np.savez(tmp_path / "own.npz", x=np.zeros((8, 32, 32, 3), np.uint8), y=np.arange(8) % 2)
    own = str(tmp_path / "own.npz")
    space = {"data.name": {"type": "choice", "values": ["synthetic", own]}}
    names = [{"data.name": name} for name in ("synthetic", "synthetic", own)]
    with pytest.raises(InputError, match=r"trials 2 and 3: a vote is of models that read the same data"):
        tuning.ensemble(search_of(tmp_path / "data", space=space, parameters=names), 2)
