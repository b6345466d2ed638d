"""Draws are pure functions with the right distribution; grids are whole and exact; finite spaces are tried whole."""

import math

import keras_tuner
import pytest

from kerastrain._core.errors import InputError
from kerastrain.tuning import GridOracle, RandomOracle
from kerastrain.tuning.draws import combinations, drawn, drawn_untried, identity, points, size, uniform
from kerastrain.tuning.oracles import grid_points
from kerastrain.tuning.parameters import parameter
from kerastrain.tuning.space import Space


def space_of(**parameters):
    return Space({path.replace("__", "."): parameter(item) for path, item in parameters.items()})


def hyperparameters_of(**parameters):
    return space_of(**parameters).hyperparameters()


RULES = {
    "rule": {"type": "choice", "values": ["sgd", "adam", None]},
    "momentum": {"type": "float", "values": [0.0, 0.5, 0.9], "when": {"rule": "sgd"}},
    "nesterov": {"type": "bool", "when": {"momentum": [0.5, 0.9]}},
}


def run(oracle):
    """The values of every trial that the oracle hands out, as keras-tuner asks for them."""
    found = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        found.append(dict(trial.hyperparameters.values))
        oracle.update_trial(trial.trial_id, {"val_loss": 1.0})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return found


def engine(kind, tmp_path, hyperparameters, **options):
    oracle = kind(keras_tuner.Objective("val_loss", "min"), hyperparameters=hyperparameters, **options)
    oracle.verbose = 0
    # keras-tuner's own way of telling an oracle where its files go is a Tuner.
    tuner = keras_tuner.engine.base_tuner.BaseTuner(oracle, directory=tmp_path, project_name="p", overwrite=True)
    return tuner.oracle


# Uniform numbers


def test_a_draw_depends_on_each_of_its_arguments_and_nothing_else():
    base = uniform(0, 1, "a")
    assert base == uniform(0, 1, "a", 0)
    others = [uniform(1, 1, "a"), uniform(0, 2, "a"), uniform(0, 1, "b"), uniform(0, 1, "a", 1), uniform(1, 0, "a")]
    assert len({base, *others}) == 6
    # sha256('[0, 1, "a", 0]') begins with f23be49e2c5c4033; its top 53 bits make the number.
    assert base == (0xF23BE49E2C5C4033 >> 11) / 2**53


def kolmogorov_smirnov(sample, distribution):
    ordered = sorted(sample)
    count = len(ordered)
    return max(
        max((index + 1) / count - distribution(value), distribution(value) - index / count)
        for index, value in enumerate(ordered)
    )


@pytest.mark.parametrize("seed", [0, 4])
def test_log_ranges_are_log_uniform_and_linear_ranges_uniform(seed):
    made = hyperparameters_of(
        rate={"type": "float", "min": 1e-5, "max": 1e-1, "scale": "log"}, width={"type": "float", "min": -1, "max": 3}
    ).space
    draws = [drawn(made, seed, trial) for trial in range(1, 2001)]
    # The 0.1 % critical value of Kolmogorov-Smirnov is 1.95 / sqrt(n).
    bound = 1.95 / math.sqrt(2000)
    assert kolmogorov_smirnov([d["rate"] for d in draws], lambda x: (math.log10(x) + 5) / 4) < bound
    assert kolmogorov_smirnov([d["width"] for d in draws], lambda x: (x + 1) / 4) < bound


def test_every_whole_number_of_a_range_is_drawn_about_equally_often():
    made = hyperparameters_of(depth={"type": "int", "min": 1, "max": 5}).space
    counts = [0] * 6
    for trial in range(5000):
        counts[drawn(made, 0, trial)["depth"]] += 1
    # Five standard deviations of a binomial(5000, 1/5) are 141.
    assert counts[0] == 0
    assert all(abs(count - 1000) < 142 for count in counts[1:])


def test_a_new_parameter_leaves_the_other_draws_and_order_does_not_matter():
    rate = {"type": "float", "min": 0.1, "max": 1.0}
    one = hyperparameters_of(b=rate).space
    two = hyperparameters_of(a=rate, b=rate, c=rate).space
    forward = [drawn(two, 7, trial)["b"] for trial in range(20)]
    backward = [drawn(one, 7, trial)["b"] for trial in reversed(range(20))]
    assert forward == backward[::-1]
    assert all(d["a"] != d["b"] for d in (drawn(two, 7, trial) for trial in range(20)))


# Conditions


def test_inactive_values_are_left_out_and_chains_hold():
    declared = space_of(**RULES)
    made = declared.hyperparameters().space
    seen = [declared.decode(drawn(made, 0, trial)) for trial in range(300)]
    for values in seen:
        assert ("momentum" in values) == (values["rule"] == "sgd")
        assert ("nesterov" in values) == (values.get("momentum", 0.0) > 0)
    assert {values["rule"] for values in seen} == {"sgd", "adam", None}


def test_a_parameter_of_two_parents_needs_both():
    declared = space_of(
        a={"type": "bool"}, b={"type": "bool"}, c={"type": "int", "min": 1, "max": 2, "when": {"a": True, "b": True}}
    )
    found = [declared.decode(values) for values in combinations(declared.hyperparameters().space, grid_points)]
    both = [{"a": True, "b": True, "c": 1}, {"a": True, "b": True, "c": 2}]
    assert [values for values in found if "c" in values] == both
    assert len(found) == 5


def test_keras_tuners_own_copies_keep_the_space():
    declared = space_of(**RULES)
    copied = keras_tuner.HyperParameters()
    declared.declare(copied)
    copied = copied.copy()
    assert list(combinations(copied.space, grid_points)) == list(
        combinations(declared.hyperparameters().space, grid_points)
    )
    assert copied.values["rule"] == '"sgd"'


def test_parents_come_first_whatever_the_order_of_the_file():
    backward = dict(reversed(RULES.items()))
    assert list(space_of(**backward).parameters) == ["rule", "momentum", "nesterov"]


def test_choices_keep_null_numbers_lists_and_mappings():
    values = [None, 0, 0.5, "0", True, [20, 15], {"type": "l2", "rate": 1e-4}]
    declared = space_of(x={"type": "choice", "values": values})
    decoded = [declared.decode(v)["x"] for v in combinations(declared.hyperparameters().space, grid_points)]
    assert decoded == values
    assert [type(value) for value in decoded] == [type(value) for value in values]


def test_a_condition_on_a_value_that_equals_a_point_holds():
    declared = space_of(
        x={"type": "choice", "values": [1.0, 2]},
        y={"type": "bool", "when": {"x": 1}},
        z={"type": "bool", "when": {"x": 2.0}},
    )
    found = [declared.decode(v) for v in combinations(declared.hyperparameters().space, grid_points)]
    assert [sorted(values) for values in found] == [["x", "y"], ["x", "y"], ["x", "z"], ["x", "z"]]


# Grids


def test_a_grid_is_every_active_combination_in_order_with_exact_ends(tmp_path):
    made = hyperparameters_of(
        rate={"type": "float", "min": 0.1, "max": 0.3, "step": 0.1},
        rule={"type": "choice", "values": ["sgd", "adam"]},
        momentum={"type": "float", "min": 0, "max": 0.9, "num": 2, "when": {"rule": "sgd"}},
    )
    expected = []
    for rate in (0.1, 0.2, 0.3):
        expected += [
            {"rate": rate, "rule": '"sgd"', "momentum": 0.0},
            {"rate": rate, "rule": '"sgd"', "momentum": 0.9},
            {"rate": rate, "rule": '"adam"'},
        ]
    assert list(combinations(made.space, grid_points)) == expected
    assert size(made.space, grid_points) == 9
    assert run(engine(GridOracle, tmp_path, made)) == expected


def test_grid_of_plain_keras_tuner_ranges():
    made = keras_tuner.HyperParameters()
    made.Float("a", 0.0, 0.3, step=0.1)
    made.Float("b", 1e-3, 1.0, step=10, sampling="log")
    made.Int("c", 6, 13, step=3)
    made.Int("d", 2, 16, step=2, sampling="log")
    made.Boolean("e")
    made.Fixed("f", "x")
    lists = [list(points(item)) for item in made.space]
    assert lists[:4] == [[0.0, 0.1, 0.2, 0.3], [0.001, 0.01, 0.1, 1.0], [6, 9, 12], [2, 4, 8, 16]]
    assert sorted(lists[4]) == [False, True]
    assert lists[5] == ["x"]


def test_a_continuous_range_has_no_grid():
    made = keras_tuner.HyperParameters()
    made.Float("a", 0.0, 1.0)
    with pytest.raises(InputError, match="`a`: a grid needs the points of a range"):
        GridOracle("val_loss", hyperparameters=made).values_of(1)


def test_size_counts_without_walking():
    made = hyperparameters_of(
        **RULES, seed={"type": "int", "min": 1, "max": 10**9}, other={"type": "int", "min": 1, "max": 10**3}
    )
    # sgd with momentum 0, or 0.5 and 0.9 with and without nesterov; adam; null: 1 + 4 + 2.
    assert size(made.space, grid_points) == 7 * 10**12


# Random search


def test_seed_0_is_a_seed_and_seeds_share_no_trials(tmp_path):
    made = hyperparameters_of(rate={"type": "float", "min": 1e-4, "max": 1, "scale": "log"})
    zero, again, one = (
        run(engine(RandomOracle, tmp_path / str(i), made, max_trials=8, seed=seed)) for i, seed in enumerate((0, 0, 1))
    )
    assert zero == again
    assert not {v["rate"] for v in zero} & {v["rate"] for v in one}


def test_all_points_of_a_finite_space_are_tried_once(tmp_path):
    made = hyperparameters_of(
        a={"type": "choice", "values": [1, 2, 3, 4]}, b={"type": "int", "min": 1, "max": 3}, c={"type": "bool"}
    )
    found = run(engine(RandomOracle, tmp_path, made, max_trials=100, seed=0))
    assert len(found) == 24
    assert len({identity(values) for values in found}) == 24


def test_all_points_of_an_uneven_space_are_tried(tmp_path):
    # Half of the draws are of one point, the rest fall on 300: far more than a few collisions in a row.
    made = hyperparameters_of(a={"type": "bool"}, b={"type": "int", "min": 1, "max": 300, "when": {"a": True}})
    assert len(run(engine(RandomOracle, tmp_path, made, max_trials=None, seed=0))) == 301


def test_the_last_continuous_branch_is_found():
    made = hyperparameters_of(
        a={"type": "int", "min": 1, "max": 5000}, b={"type": "float", "min": 0, "max": 1, "when": {"a": 5000}}
    ).space
    tried = {identity({"a": value}) for value in range(1, 5000)}
    values = drawn_untried(made, 0, 1, tried)
    assert values["a"] == 5000
    assert 0 <= values["b"] <= 1


def test_a_stopped_oracle_starts_no_trial(tmp_path):
    oracle = engine(RandomOracle, tmp_path, hyperparameters_of(**RULES), max_trials=5)
    oracle.stop()
    assert run(oracle) == []
