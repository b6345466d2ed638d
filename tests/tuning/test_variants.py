"""Variants: named alternatives that set several keys of the recipe at once."""

import pytest
from small_searches import RATE, write

from kerastrain import tuning
from kerastrain._core.errors import InputError
from kerastrain.tuning.planning import plan

VARIANTS = {"plain": {}, "wide": {"model.layers": [32], "model.activation": "tanh"}, "adam": {"optimizer.rule": "adam"}}
GRID = {"strategy": "grid", "max_trials": 9}


def test_each_variant_sets_its_keys_and_no_others(tmp_path):
    space = {"variant": {"type": "variants", "values": VARIANTS}, "training.seed": {"type": "choice", "values": [0, 7]}}
    made = plan(tuning.load_config(write(tmp_path, space, search=GRID)))
    assert [tuple(trial.values()) for trial in made.trials] == [(name, seed) for name in VARIANTS for seed in (0, 7)]
    for trial in made.trials:
        recipe, name = made.recipes.fill(trial), trial["variant"]
        assert recipe.training.seed == trial["training.seed"]
        assert [layer["units"] for layer in recipe.model["layers"]] == ([32] if name == "wide" else [4])
        assert recipe.model["activation"]["type"] == ("tanh" if name == "wide" else "relu")
        assert recipe.optimizer.rule["type"] == ("adam" if name == "adam" else "sgd")


def test_a_variant_may_be_a_condition(tmp_path):
    momentum = {"type": "float", "values": [0.5, 0.9], "when": {"variant": ["plain", "wide"]}}
    space = {"variant": {"type": "variants", "values": VARIANTS}, "optimizer.rule.momentum": momentum}
    made = plan(tuning.load_config(write(tmp_path, space, search=GRID)))
    assert [trial.get("optimizer.rule.momentum") for trial in made.trials] == [0.5, 0.9, 0.5, 0.9, None]


def test_records_name_the_variant_and_the_best_recipe_has_its_keys(tmp_path):
    space = {"variant": {"type": "variants", "values": {"wide": VARIANTS["wide"]}}}
    result = tuning.search(write(tmp_path, space, search={"strategy": "grid", "max_trials": 1}), out=tmp_path / "out")
    assert result.best.parameters == {"variant": "wide"}
    assert "variant" in (tmp_path / "out" / "trials.csv").read_text().splitlines()[0]
    assert "units: 32" in result.best_recipe_path.read_text()


@pytest.mark.parametrize(
    ("space", "sections", "words"),
    [
        ({"model": {"type": "variants", "values": VARIANTS}}, {}, "no key of the recipe"),
        ({"a.b": {"type": "variants", "values": VARIANTS}}, {}, "no key of the recipe"),
        ({"variant": {"type": "variants", "values": {}}}, {}, "space.variant.values"),
        ({"variant": {"type": "variants", "values": {"a": {"model..x": 1}}}}, {}, "not a dotted path"),
        ({"variant": {"type": "variants", "values": {"a": {"model.activation": "reluu"}}}}, {}, "`relu`"),
        ({"variant": {"type": "variants", "values": {"a": {"optimizer.learning_rate": 1}}}, **RATE}, {}, "sets it too"),
        (
            {"variant": {"type": "variants", "values": {"a": {"training.epochs": 1}}}},
            {"budget": {"epochs": 2}},
            "`budget.epochs` sets it",
        ),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, space, sections, words):
    with pytest.raises(InputError) as caught:
        plan(tuning.load_config(write(tmp_path, space, **sections)))
    assert words in str(caught.value)
    assert "search.yaml:" in str(caught.value)
