import math
import sys

import keras
import PIL.Image
import pytest

from kerastrain import experiments
from kerastrain._core.errors import InputError


def test_smoke_changes_data_and_length_only():
    recipe = experiments.load("residual", {"optimizer.learning_rate": 0.1})
    small = experiments.smoke(recipe)
    assert small.data.name == "synthetic" and small.training.epochs <= 2
    assert (small.model, small.optimizer, small.data.augment) == (recipe.model, recipe.optimizer, recipe.data.augment)
    assert experiments.smoke(small) == small


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"learning_rate": {"type": "cosine_decay", "initial": 0.1, "warmup_epochs": 5.0}},
            {"warmup_epochs": 0.1, "decay_epochs": None},
        ),
        (
            {"learning_rate": {"type": "step_decay", "initial": 0.1, "factor": 0.5, "every_epochs": 60}},
            {"every_epochs": 1},
        ),
        (
            {
                "learning_rate": {
                    "type": "piecewise_constant_decay",
                    "boundary_epochs": [20, 30],
                    "values": [0.3, 0.2, 0.1],
                }
            },
            {"boundary_epochs": [1, 2]},
        ),
        (
            {
                "learning_rate": {
                    "type": "warmup",
                    "warmup_epochs": 10,
                    "schedule": {"type": "one_cycle", "maximal": 1.0},
                }
            },
            {"warmup_epochs": 0.2},
        ),
        ({"averaging": {"type": "polyak", "start_epoch": 99}}, {"start_epoch": 1}),
        (
            {"averaging": {"type": "stochastic_weight_averaging", "start_epoch": 75, "every_epochs": 5}},
            {"start_epoch": 1, "every_epochs": 1},
        ),
    ],
)
def test_what_is_counted_in_epochs_shrinks_with_the_run(given, expected):
    (slot,) = given
    recipe = experiments.load("convnet", {f"optimizer.{slot}": given[slot], "training.epochs": 100})
    small = experiments.smoke(recipe)
    assert small.training.epochs == 2
    found = getattr(small.optimizer, slot)
    assert {key: found[key] for key in expected} == expected
    assert experiments.smoke(small) == small


def test_a_sequence_has_an_epoch_for_each_stage():
    stages = [{"schedule": 0.1, "epochs": 80}, {"schedule": 0.05, "epochs": 10}, {"schedule": 0.01}]
    sequence = {"type": "sequence", "stages": stages}
    recipe = experiments.load("convnet", {"optimizer.learning_rate": sequence, "training.epochs": 100})
    small = experiments.smoke(recipe)
    assert small.training.epochs == 3
    assert [stage["epochs"] for stage in small.optimizer.learning_rate["stages"]] == [1, 1, None]


# The others are slow, and trained by the examples of the same names, which CI runs.
QUICK = ("mlp_functional", "mlp_sequential")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(experiments.shipped())],
)
def test_every_shipped_recipe_trains_saves_and_evaluates(name, tmp_path):
    keras.utils.clear_session()
    recipe = experiments.smoke(experiments.load(name))
    result = experiments.run(recipe, tmp_path / "run")
    assert result["status"] == "finished"
    for role in recipe.evaluation.roles:
        assert 0 < result[role]["loss"] < math.inf and 0 <= result[role]["accuracy"] <= 1
    expected = {"loss", "accuracy"} | ({"f1_score"} if recipe.task == "multilabel" else set())
    assert set(result["test"]) == expected
    PIL.Image.new("RGB", (32, 32)).save(tmp_path / "black.png")
    (row,) = experiments.load_trained(tmp_path / "run").predict([tmp_path / "black.png"])
    assert set(row["probabilities"]) == set(result["data"]["class_names"])
    if recipe.task == "multiclass":
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_what_is_counted_in_updates_is_at_most_2():
    changes = {
        "optimizer.gradient_accumulation_steps": 1000,
        "optimizer.averaging": {"type": "lookahead", "every_steps": 50},
    }
    small = experiments.smoke(experiments.load("convnet", changes))
    assert small.optimizer.gradient_accumulation_steps == 2 and small.optimizer.averaging["every_steps"] == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "snapshot_ensemble", "every_epochs": 5}, {"every_epochs": 1}),
        ({"type": "snapshot_ensemble", "after_epochs": [5, 10, 20]}, {"after_epochs": [1, 2]}),
        ({"type": "gradual_unfreezing", "epochs": [4, 12]}, {"epochs": [1, 2]}),
        ({"type": "early_stopping", "start_from_epoch": 15}, {"start_from_epoch": 1}),
        ({"type": "early_stopping"}, {"start_from_epoch": 0}),
        ({"type": "divergence_guard", "every_steps": 100}, {"every_steps": 2}),
        ({"type": "resumable_checkpoint", "every_steps": 50, "every_epochs": 4}, {"every_steps": 2, "every_epochs": 1}),
    ],
    ids=str,
)
def test_what_callbacks_count_shrinks_with_the_run(given, expected):
    recipe = experiments.load("mlp_sequential", {"callbacks": [given], "training.epochs": 20})
    small = experiments.smoke(recipe)
    assert {key: small.callbacks[0][key] for key in expected} == expected
    assert experiments.smoke(small) == small


def test_what_does_not_hold_together_when_it_is_small_is_one_line(monkeypatch):
    # Nothing is known that does not; a problem there may be must not be a traceback of pydantic's.
    module = sys.modules["kerastrain.experiments.smoke"]
    monkeypatch.setattr(module, "_sooner", lambda node, factor: node)
    recipe = experiments.load("mlp_sequential", {"callbacks": [{"type": "snapshot_ensemble", "every_epochs": 5}]})
    with pytest.raises(InputError, match=r"--smoke: `callbacks\[0\]`: `every_epochs` must end a cycle within"):
        experiments.smoke(recipe)
