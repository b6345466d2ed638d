"""Whatever is wrong with a search file is told before the first trial: file:line, key, expected, received."""

import pytest
from small_searches import RATE, RECIPE, write

from kerastrain import tuning
from kerastrain._core.errors import InputError
from kerastrain.tuning.planning import plan
from kerastrain.tuning.trial_recipes import trial_recipes

LINES = """schema: 1
name: lines
recipe: tiny.yaml
objective: {metric: val_loss, mode: min}
search: {strategy: STRATEGY, max_trials: 4, seed: 0}
budget: {epochs: 1}
space:
  optimizer.learning_rate: {type: float, min: 0.001, max: 0.1, scale: log, num: 2}
"""


def problem_of(folder, text):
    (folder / "tiny.yaml").write_text(RECIPE)
    path = folder / "search.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        plan(tuning.load_config(path))
    return str(caught.value).replace(str(path), "search.yaml")


HEADS = [
    ("metric: val_loss", "metric: val_acuracy", "search.yaml:4: `objective.metric`", "Did you mean `val_accuracy`?"),
    ("metric: val_loss", "metric: loss", "search.yaml:4: `objective.metric`", "Did you mean `val_loss`?"),
    ("metric: val_loss", "metric: test_loss", "search.yaml:4", "not a metric of the validation data"),
    ("metric: val_loss", "metric: val_f1_score", "search.yaml:4", "better the larger it is; expected `max`"),
    ("metric: val_loss, mode: min", "metric: val_f1_score, mode: max", "search.yaml:4", "a multiclass recipe yields"),
    ("mode: min", "mode: max", "search.yaml:4: `objective.mode`", "better the smaller it is; expected `min`"),
    ("strategy: STRATEGY", "strategy: hyperband", "search.yaml:5: `search.strategy`", "`random` or `grid`"),
    ("max_trials: 4", "max_trials: 0", "search.yaml:5: `search.max_trials`", "expected a number >= 1. Received: 0"),
    ("max_trials: 4", "max_trials: four", "search.yaml:5: `search.max_trials`", "expected a whole number"),
    ("seed: 0", "seed: -1", "search.yaml:5: `search.seed`", ">= 0. Received: -1"),
    ("epochs: 1", "wall_clock: 6 hours", "search.yaml:6: `budget.wall_clock`", "`30m`"),
    ("epochs: 1", "epoch: 1", "search.yaml:6: `budget.epoch`", "Did you mean `epochs`?"),
    ("budget:", "pruner: {type: medain}\nbudget:", "search.yaml:6: `pruner.type`", "Did you mean `median`?"),
    ("budget:", "pruner: {type: asha, min_epoch: 2}\nbudget:", "search.yaml:6: `pruner.min_epoch`", "`min_epochs`?"),
    (
        "budget: {epochs: 1}",
        "pruner: median",
        "search.yaml:6: `pruner`",
        "it waits for 5 completed trials. Received: 2",
    ),
    ("budget: {epochs: 1}", "pruner: asha\nbudget: {epochs: 1}", "search.yaml:6: `pruner`", "at most 1 epochs a trial"),
    ("budget:", "set: {training.epochs: 2}\nbudget:", "search.yaml:6: `set.training.epochs`", "drop one of the two"),
    ("budget:", "set: {optimizer.learning_rate: 2}\nbudget:", "search.yaml:6: `set.optimizer", "drop one of the two"),
    ("budget:", "set: {model.layesr: [2]}\nbudget:", "search.yaml:6: `model.layesr`", "Did you mean `layers`?"),
    ("budget:", "set: {optmizer.rule: adam}\nbudget:", "search.yaml:6: `optmizer`", "Did you mean `optimizer`?"),
    ("budget:", "set: {model..layers: [2]}\nbudget:", "search.yaml:6: `set.model..layers`", "is not a dotted path"),
    ("recipe: tiny.yaml", "recipe: residal", "search.yaml:3: `recipe`", "Did you mean `residual`?"),
    ("schema: 1", "schema: 2", "search.yaml:1: `schema`", "expected 1. Received: 2"),
    ("name: lines", "name: a/b", "search.yaml:2: `name`", '"a/b"'),
    ("  optimizer.learning_rate", "  learning_rate", "search.yaml:8: `space.learning_rate`", "unknown key"),
    ("  optimizer.learning_rate", "  optimizer.leaning_rate", "search.yaml:8", "Did you mean `learning_rate`?"),
    ("  optimizer.learning_rate", "  optimizer..x", "search.yaml:8: `space.optimizer..x`", "is not a dotted path"),
    ("  optimizer.learning_rate", "  training.epochs", "search.yaml:8", "`budget.epochs` sets it for every trial"),
]


@pytest.mark.parametrize(("old", "new", "place", "part"), HEADS)
def test_head(tmp_path, old, new, place, part):
    assert old in LINES
    message = problem_of(tmp_path, LINES.replace(old, new).replace("STRATEGY", "random"))
    assert message.startswith(place)
    assert part in message


PARAMETERS = [
    ("{type: flot, min: 0, max: 1}", ".type`", "Did you mean `float`?"),
    ("{min: 0, max: 1}", "`", "`type` is missing; expected `float`, `int`, `choice`, `bool`"),
    ("0.1", "`", "expected a mapping such as"),
    ("{type: float, min: 1}", "`", "a range needs `min` and `max`"),
    ("{type: float, min: 1, max: 1}", ".max`", "`max` must be above `min`, 1. Received: 1"),
    ("{type: float, min: 0, max: 1, scale: log}", ".min`", "on a log scale `min` must be above 0. Received: 0"),
    ("{type: float, min: 0, max: 1, scale: lg}", ".scale`", "Did you mean `log`?"),
    ("{type: float, min: 0, max: 1, step: 0.3}", ".step`", "they meet 0.9 and 1.2. Received: 0.3"),
    ("{type: float, min: 0, max: 1, step: 0.5, num: 3}", ".num`", "give `step` or `num`, not both"),
    ("{type: float, min: 0, max: 1, num: 1}", ".num`", "expected a number >= 2. Received: 1"),
    ("{type: float, min: 0, max: .inf}", ".max`", "expected a finite number"),
    ("{type: float, min: 0, max: big}", ".max`", 'expected a number. Received: "big"'),
    ("{type: float, values: [1, 2], min: 0}", ".min`", "no place for `min`"),
    ("{type: float, values: [1, 1.0]}", ".values[1]`", "listed twice. Received: 1.0"),
    ("{type: float, min: 0, max: 1, steps: 0.5}", ".steps`", "Did you mean `step`?"),
    ("{type: int, min: 1, max: 8, step: 2}", ".step`", "they meet 7 and 9"),
    ("{type: int, min: 1.5, max: 8}", ".min`", "expected a whole number. Received: 1.5"),
    ("{type: int, min: 1, max: 3, num: 5}", ".num`", "fewer than 5 whole numbers"),
    ("{type: int, min: 1}", ".max`", "is missing"),
    ("{type: choice, values: []}", ".values`", "at least 1 item"),
    ("{type: choice, values: [a, b, a]}", ".values[2]`", 'listed twice. Received: "a"'),
    ("{type: choice, values: [.nan]}", ".values[0]`", "expected numbers, text"),
    ("{type: choice}", ".values`", "is missing"),
    ("{type: bool, values: [true]}", ".values`", "unknown key"),
    ("{type: float, min: 1, max: 2, when: {optimizer.rle: sgd}}", ".when.optimizer.rle`", "`optimizer.rule`?"),
    ("{type: float, min: 1, max: 2, when: {optimizer.rule: sdg}}", ".when.optimizer.rule`", "never takes this value"),
    ("{type: float, min: 1, max: 2, when: {optimizer.rule: []}}", ".when.optimizer.rule`", "one or more values"),
    ("{type: float, min: 1, max: 2, when: {a.b: 1}}", ".when.a.b`", "continuous range"),
]


@pytest.mark.parametrize(("written", "key", "part"), PARAMETERS)
def test_parameter(tmp_path, written, key, part):
    text = LINES.replace("STRATEGY", "random") + (
        "  optimizer.rule: {type: choice, values: [sgd, adam]}\n"
        "  a.b: {type: float, min: 0, max: 1}\n"
        f"  optimizer.x: {written}\n"
    )
    message = problem_of(tmp_path, text)
    assert message.startswith(f"search.yaml:11: `space.optimizer.x{key}")
    assert part in message


def test_conditions_that_go_round_in_a_circle(tmp_path):
    text = LINES.replace("STRATEGY", "random") + (
        "  a.b: {type: choice, values: [1, 2], when: {c.d: 3}}\n  c.d: {type: choice, values: [3, 4], when: {a.b: 1}}\n"
    )
    message = problem_of(tmp_path, text)
    assert message.startswith("search.yaml:9: `space.a.b.when`: the conditions go round in a circle")


def test_a_value_that_the_recipe_refuses_is_told_with_its_key(tmp_path):
    text = LINES.replace("STRATEGY", "random") + "  training.batch_size: {type: int, min: 0, max: 8}\n"
    message = problem_of(tmp_path, text)
    assert message.startswith("search.yaml:9: `space.training.batch_size`: the recipe refuses 0: ")
    assert "`training.batch_size`: expected a number >= 1. Received: 0." in message


def test_every_value_that_is_refused_has_a_line_of_its_own_that_ends_in_what_the_recipe_says(tmp_path):
    text = LINES.replace("STRATEGY", "random").split("  optimizer.learning_rate")[0] + (
        "  optimizer.learning_rate:\n    type: choice\n    values:\n    - 0.1\n"
        "    - {type: cosine_decy, initial: 0.1}\n    - {type: cosine_decay, intial: 0.1}\n"
        "  optimizer.rle: {type: choice, values: [sgd, adam]}\n"
        "  v: {type: variants, values: {a: {}, b: {model.activation: rel}}}\n"
    )
    first, second, third, fourth = problem_of(tmp_path, text).splitlines()
    assert first.startswith(
        'search.yaml:12: `space.optimizer.learning_rate.values[1]`: the recipe refuses {"type": "cosine_decy", '
        '"initial": 0.1}: `optimizer.learning_rate.type`: unknown learning-rate schedule `cosine_decy`. Did you mean '
        "`cosine_decay`?"
    )
    assert second.startswith("search.yaml:13: `space.optimizer.learning_rate.values[2]`: ")
    assert "}: `optimizer.learning_rate.intial`: unknown key. Did you mean `initial`?" in second
    assert third.startswith(
        'search.yaml:14: `space.optimizer.rle.values[0]`: the recipe refuses "sgd": `optimizer.rle`'
    )
    assert fourth.startswith('search.yaml:15: `space.v.values.b`: the recipe refuses "b": `model.activation.type`: ')


def test_of_very_many_refused_values_the_first_are_told(tmp_path):
    bad = ", ".join(f"name{number}" for number in range(5000))
    text = LINES.replace("STRATEGY", "random") + f"  model.activation: {{type: choice, values: [relu, {bad}]}}\n"
    *lines, last = problem_of(tmp_path, text).splitlines()
    assert [line.split("refuses ")[1].split(":")[0] for line in lines] == [f'"name{number}"' for number in range(8)]
    assert last == "search.yaml:9: `space.model.activation`: further values are refused too."


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            "space: {}",
            "search.yaml:7: `space`: expected one parameter at least. Received: {}. A parameter is a line such",
        ),
        (
            "",
            "search.yaml:1: `space`: is missing. A parameter is a line such as `optimizer.learning_rate: {type: float",
        ),
        ("space:", "search.yaml:7: `space`: expected a mapping. Received: null."),
    ],
)
def test_a_search_of_nothing(tmp_path, space, words):
    text = LINES.split("space:")[0].replace("STRATEGY", "random") + f"{space}\n"
    assert problem_of(tmp_path, text).startswith(words)


def test_what_the_budget_or_the_command_line_sets_is_told_by_its_place(tmp_path):
    path = write(tmp_path, RATE, budget={"epochs": 3})
    with pytest.raises(InputError, match=r"^--data: `data.name`: expected cifar10, synthetic"):
        plan(tuning.load_config(path), data="cifr10")
    labels = trial_recipes(tuning.load_config(path)).labels
    assert labels == {"training.epochs": f"{path}:{1 + path.read_text().splitlines().index('budget: {epochs: 3}')}"}


def test_a_conditional_value_is_tried_with_its_parent(tmp_path):
    text = LINES.replace("STRATEGY", "random") + (
        "  optimizer.rule: {type: choice, values: [sgd, adam]}\n"
        "  optimizer.rule.momentum: {type: float, min: 0, max: 0.9, when: {optimizer.rule: adam}}\n"
    )
    message = problem_of(tmp_path, text)
    assert message.startswith(
        'search.yaml:10: `space.optimizer.rule.momentum`: the recipe refuses 0.0, with optimizer.rule = "adam": '
    )
    assert "unknown key" in message


def test_values_that_do_not_go_together_are_told_with_their_trial(tmp_path):
    text = LINES.replace("STRATEGY", "grid").replace("  optimizer.learning_rate", "  training.seed").replace(
        "{type: float, min: 0.001, max: 0.1, scale: log, num: 2}", "{type: int, min: 0, max: 1}"
    ) + (
        "  optimizer.learning_rate: {type: choice, values: [0.1, {type: cosine_decay, initial: 0.1}]}\n"
        "  callbacks: {type: choice, values: [[{type: reduce_lr_on_plateau}]]}\n"
    )
    message = problem_of(tmp_path, text)
    assert message.startswith("search.yaml:7: `space`: the values of trial 2 do not go together (training.seed = 0, ")
    assert "it cannot work on a schedule" in message


def test_a_grid_is_refused_with_its_size_or_without_points(tmp_path):
    grid = LINES.replace("STRATEGY", "grid")
    message = problem_of(tmp_path, grid + "  training.seed: {type: int, min: 1, max: 3}\n")
    assert message.startswith("search.yaml:5: `search.max_trials`: the grid has 6 combinations. Received: 4.")
    assert message.endswith("Raise it, give fewer points, or run the first 4 with `--max-trials 4`.")
    # 2 * 3 * 10^6 combinations are counted, not walked.
    message = problem_of(
        tmp_path,
        grid
        + "  training.seed: {type: int, min: 1, max: 1000000}\n"
        + "  training.batch_size: {type: choice, values: [8, 16, 32]}\n",
    )
    assert "the grid has 6000000 combinations" in message
    message = problem_of(tmp_path, grid.replace(", num: 2", ""))
    assert message.startswith("search.yaml:8: `space.optimizer.learning_rate`: a grid needs the points of a range")


def test_max_trials_of_the_command_line_is_the_first_combinations_of_a_grid(tmp_path):
    # 10^9 combinations, of which the file has room for 4.
    space = {"training.seed": {"type": "int", "min": 1, "max": 10**9}}
    config = tuning.load_config(write(tmp_path, space, search={"strategy": "grid", "max_trials": 4}))
    for smoke in (False, True):
        with pytest.raises(InputError, match=r"search.yaml:\d+: `search.max_trials`: the grid has 1000000000 comb"):
            plan(config, smoke=smoke)
        made = plan(config, max_trials=2, smoke=smoke)
        assert made.trials == ({"training.seed": 1}, {"training.seed": 2})
        assert (made.combinations, made.exhausted) == (10**9, False)


def test_a_recipe_is_not_a_search_file(tmp_path):
    write(tmp_path)
    path = tmp_path / "tiny.yaml"
    with pytest.raises(InputError) as caught:
        tuning.load_config(path)
    assert str(caught.value) == f"{path}: is a recipe, not a search file. Train it with `kerastrain train {path}`."


def test_max_trials_of_the_command_line_is_checked_too(tmp_path):
    config = tuning.load_config(write(tmp_path))
    assert len(plan(config, max_trials=1).trials) == 1
    with pytest.raises(InputError, match=r"--max-trials: `search.max_trials`: expected a number >= 1. Received: 0."):
        plan(config, max_trials=0)


def test_data_of_the_command_line_does_not_go_with_a_search_over_data(tmp_path):
    config = tuning.load_config(write(tmp_path, {"data.name": {"type": "choice", "values": ["synthetic"]}}))
    with pytest.raises(InputError, match=r"search.yaml:\d+: `data.name`: --data sets it for every trial"):
        plan(config, data="synthetic")


@pytest.mark.parametrize(
    ("written", "seconds"), [(90, 90.0), ("90s", 90.0), ("30m", 1800.0), ("1h30m", 5400.0), ("0.5h", 1800.0)]
)
def test_wall_clock(tmp_path, written, seconds):
    config = tuning.load_config(write(tmp_path, budget={"wall_clock": written}))
    assert config.budget.wall_clock_seconds == seconds


def test_set_is_the_same_in_every_trial(tmp_path):
    found = plan(tuning.load_config(write(tmp_path, set={"model.layers": [8, 6], "training.epochs": 7})))
    recipes = [found.recipes.fill(trial) for trial in found.trials]
    assert {recipe.training.epochs for recipe in recipes} == {7} and found.epochs == (7, 7, 7)
    assert [[layer["units"] for layer in recipe.model["layers"]] for recipe in recipes] == [[8, 6]] * 3
    space = {"model.layers[i].dropout": {"type": "float", "values": [0.5], "repeat": 3}}
    found = plan(tuning.load_config(write(tmp_path, space, set={"model.layers": [8, 6]})))
    assert [layer["units"] for layer in found.recipes.fill(found.trials[0]).model["layers"]] == [8, 6, 6]


def test_plain_data_reads_back_to_an_equal_config(tmp_path):
    space = {
        **RATE,
        "optimizer.rule": {"type": "choice", "values": ["sgd", "adam"]},
        "optimizer.rule.momentum": {"type": "float", "values": [0.0, 0.9], "when": {"optimizer.rule": ["sgd"]}},
        "model.dropout": {"type": "choice", "values": [None, 0.5]},
    }
    config = tuning.load_config(write(tmp_path, space))
    assert config.plain()["space"] == space
    assert tuning.SearchConfig.model_validate(config.plain()).plain() == config.plain()


def test_shipped_searches_are_valid():
    counts = {"random_mlp": 40, "grid_residual": 6, "grid_vanishing": 18, "random_residual": 24, "random_convnet": 20}
    for name, trials in counts.items():
        assert len(plan(tuning.load_config(f"tuner_configs/{name}.yaml"), data="synthetic").trials) == trials
