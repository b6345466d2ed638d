"""`model.layers[i].units: {..., repeat: model.depth}`, and what else a space can be made of."""

import itertools

import pytest
from small_searches import write

from kerastrain import tuning
from kerastrain._core.errors import InputError
from kerastrain.tuning.planning import plan

UNITS = {"type": "choice", "values": [4, 8, 16], "repeat": "model.depth"}
DEPTH = {"type": "int", "min": 1, "max": 3}
GRID = {"strategy": "grid", "max_trials": 500}


def made(folder, space, **sections):
    return plan(tuning.load_config(write(folder, space, **{"search": GRID, **sections})))


def test_each_depth_has_every_combination_of_its_layers(tmp_path):
    found = made(tmp_path, {"model.layers[i].units": UNITS, "model.depth": DEPTH})
    layers = [[layer["units"] for layer in found.recipes.fill(trial).model["layers"]] for trial in found.trials]
    expected = [list(units) for depth in (1, 2, 3) for units in itertools.product([4, 8, 16], repeat=depth)]
    assert sorted(layers) == sorted(expected) and found.combinations == 3 + 9 + 27
    assert list(found.space.parameters) == ["model.depth", *(f"model.layers[{index}].units" for index in range(3))]


def test_elements_that_the_recipe_does_not_have_are_like_its_last(tmp_path):
    rates = {"type": "float", "values": [0.1], "repeat": 3}
    found = made(tmp_path, {"model.layers[i].dropout": rates})
    layers = found.recipes.fill(found.trials[0]).model["layers"]
    assert [(layer["units"], layer["dropout"]) for layer in layers] == [(4, {"type": "dropout", "rate": 0.1})] * 3


def test_conditions_between_elements_and_on_several_parents(tmp_path):
    space = {
        "model.depth": {"type": "choice", "values": [1, 2]},
        "model.layers[i].activation": {"type": "choice", "values": ["relu", "elu"], "repeat": "model.depth"},
        "model.layers[i].units": {
            "type": "choice", "values": [5, 6], "repeat": "model.depth", "when": {"model.layers[i].activation": "elu"},
        },
        "optimizer.rule": {"type": "choice", "values": ["sgd", "adam"]},
        "optimizer.rule.momentum": {
            "type": "choice", "values": [0.5, 0.9], "when": {"optimizer.rule": "sgd", "model.depth": 2},
        },
    }  # fmt: skip
    found = made(tmp_path, space)
    # By hand: a layer is relu or one of two elus, so 3 ways; depth 1: 3 * 2 rules; depth 2: 9 * (2 momenta + 1).
    assert found.combinations == len(found.trials) == 3 * 2 + 9 * 3
    for trial in found.trials:
        for index in (0, 1):
            has_units = f"model.layers[{index}].units" in trial
            assert has_units == (trial.get(f"model.layers[{index}].activation") == "elu")
        assert ("optimizer.rule.momentum" in trial) == (trial["optimizer.rule"] == "sgd" and trial["model.depth"] == 2)


def test_a_count_that_is_a_key_of_the_recipe_is_set_too(tmp_path):
    stages = {"type": "choice", "values": [16], "repeat": "model.blocks"}
    config = tuning.load_config(
        write(
            tmp_path,
            {"model.blocks": {"type": "choice", "values": [1, 2]}, "model.widths[i]": stages},
            recipe="convnet",
            search=GRID,
        )
    )
    recipes = plan(config)
    models = [recipes.recipes.fill(trial).model for trial in recipes.trials]
    assert [(model["blocks"], model["widths"]) for model in models] == [(1, [16]), (2, [16, 16])]


def test_a_random_search_draws_the_layers_that_there_are(tmp_path):
    search = {"strategy": "random", "max_trials": 30, "seed": 1}
    found = made(tmp_path, {"model.depth": DEPTH, "model.layers[i].units": UNITS}, search=search)
    assert {len(trial) - 1 for trial in found.trials} == {1, 2, 3}
    for trial in found.trials:
        units = [trial[f"model.layers[{index}].units"] for index in range(trial["model.depth"])]
        assert [layer["units"] for layer in found.recipes.fill(trial).model["layers"]] == units


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"model.layers[i].units": {"type": "choice", "values": [4]}}, "`[i]` needs `repeat`"),
        ({"model.layers[0].units": {**UNITS, "repeat": 2}}, "the key needs an `[i]`"),
        ({"model.depht": DEPTH, "model.layers[i].units": UNITS}, "Did you mean `model.depht`?"),
        ({"model.depth": {"type": "float", "values": [1.0]}, "model.layers[i].units": UNITS}, "whole numbers"),
        ({"model.depth": {"type": "int", "min": -1, "max": 2}, "model.layers[i].units": UNITS}, "from 0 to 1000"),
        ({"model.depth": {"type": "int", "min": 1, "max": 2**53}, "model.layers[i].units": UNITS}, "from 0 to 1000"),
        ({"model.layers[i].units": {**UNITS, "repeat": 0}}, ".repeat`"),
        (
            {"model.depth": DEPTH, "model.layers[i].units": UNITS, "model.layers": {"type": "choice", "values": [[4]]}},
            "`model.layers[i].units` sets the elements of `model.layers`",
        ),
        (
            {"model.depth": DEPTH, "model.layers[i].units": UNITS, "model.layers[i].dropout": {**UNITS, "repeat": 2}},
            "`model.layers` has one length",
        ),
        ({"model.depth": DEPTH, "model.parts[i].units": UNITS}, "the recipe has no list `model.parts`"),
        ({"model.depth": DEPTH, "model.layers[i].unit": UNITS}, "Did you mean `units`?"),
        ({"model.depth": DEPTH, "model.layers[i].units[i]": UNITS}, "is not a dotted path"),
        ({"v": {"type": "variants", "values": {"a": {}}, "repeat": 2}}, "repeat"),
    ],
)
def test_what_cannot_be_repeated_is_refused(tmp_path, space, words):
    with pytest.raises(InputError) as caught:
        made(tmp_path, space)
    assert words in str(caught.value) and "search.yaml:" in str(caught.value)


def test_null_mixed_and_nested_choices_sizes_epochs_and_seeds(tmp_path):
    space = {
        "model.dropout": {"type": "choice", "values": [None, 0.25]},
        "model.regularizer": {"type": "choice", "values": [None, 1e-4], "when": {"model.dropout": None}},
        "training.batch_size": {"type": "int", "min": 16, "max": 64, "scale": "log", "step": 2},
        "training.epochs": {"type": "int", "min": 1, "max": 3, "step": 2},
        "training.seed": {"type": "int", "min": 0, "max": 1},
    }
    found = made(tmp_path, space)
    # null with two regularizers, and 0.25: 3 ways; times 16, 32, 64; times 1, 3; times two seeds.
    assert found.combinations == len(found.trials) == 3 * 3 * 2 * 2
    recipes = [found.recipes.fill(trial) for trial in found.trials]
    assert {(one.training.batch_size, one.training.epochs, one.training.seed) for one in recipes} == set(
        itertools.product([16, 32, 64], [1, 3], [0, 1])
    )
    assert {str(one.model["dropout"]) for one in recipes} == {"None", "{'type': 'dropout', 'rate': 0.25}"}
