"""Trials that share a compiled model come out as fresh ones, bit for bit; what must not be shared is not."""

import keras
import pytest
from reuse_cases import Values, alone, assert_as_alone, assert_near, assert_same, prepared, recipe, together

from kerastrain import experiments
from kerastrain._core import machine
from kerastrain.experiments.movable import has_movable_form
from kerastrain.tuning.hypermodel import RecipeHyperModel
from kerastrain.tuning.structure import structure

SGD = {"type": "sgd", "momentum": 0.9, "weight_decay": 1e-3}
OTHER = {"type": "sgd", "momentum": 0.37, "weight_decay": 3.3e-4}
CLIPPED = [{"type": "skip_non_finite"}, {"type": "clip_by_global_norm", "max_norm": 0.5}]


def network(rate, **arguments):
    return {"topology": "mlp_sequential", "layers": [8], "dropout": rate, **arguments}


def key(**sections):
    made = recipe(**sections)
    data = prepared(made)
    movable = has_movable_form(made)
    return structure(made, experiments.build(made, data, movable=movable), movable)


@pytest.mark.slow
def test_numbers_and_seeds_move_and_the_scores_are_those_of_fresh_builds():
    first = {"model": network(0.2), "optimizer": {"rule": SGD, "learning_rate": 0.05}}
    second = {
        "model": network(0.37),
        "optimizer": {"rule": OTHER, "learning_rate": 0.011},
        "training": {"seed": 8},
    }
    assert_as_alone([first, second, first], [False, True, True])


@pytest.mark.slow
@pytest.mark.backend
def test_rates_and_seeds_move_on_every_backend():
    first = {"model": network(0.2), "optimizer": {"gradient_transforms": CLIPPED, "learning_rate": 0.05}}
    second = {**first, "optimizer": {**first["optimizer"], "learning_rate": 0.01}, "training": {"seed": 8}}
    compiled = keras.backend.backend() != "torch"
    assert_as_alone([first, second, first], [False, compiled, compiled])


@pytest.mark.slow
def test_a_trial_that_diverged_leaves_nothing_behind():
    """Its weights are NaN, and an exception has ended its `fit`."""
    fine = {"optimizer": {"rule": SGD, "learning_rate": 0.05}}
    results = together([{"optimizer": {"rule": SGD, "learning_rate": 1e30}}, fine])
    assert [again for _, again in results] == [False, True]
    assert results[0][0] is None
    assert_same(results[1][0], alone(fine))


@pytest.mark.slow
def test_what_is_kept_of_a_trial_is_its_recipes_own_model(tmp_path):
    tuned = RecipeHyperModel(Values(), Values())
    for rate, seed in ((0.2, 3), (0.37, 8)):
        values = Values({"model": network(rate), "optimizer": {"rule": SGD}, "training": {"seed": seed}})
        model = tuned.build(values)
        history = tuned.fit(values, model).history
    tuned.to_save(values, model).save(tmp_path / "best_model.keras")
    keras.utils.clear_session()
    loaded = keras.saving.load_model(tmp_path / "best_model.keras")
    dropouts = [layer for layer in loaded.layers if "dropout" in layer.name]
    assert [type(layer) for layer in dropouts] == [keras.layers.Dropout]
    assert [layer.rate for layer in dropouts] == [0.37]
    assert loaded.optimizer.hyperparameters["momentum"] == 0.9
    data = prepared(recipe(**values.values))
    loss, _ = loaded.evaluate(*data.validation, batch_size=512, verbose=0)
    assert loss == pytest.approx(history[-1]["val_loss"], rel=1e-6)


BASE = {"model": network(0.2), "optimizer": {"rule": SGD, "gradient_transforms": CLIPPED}}
SAME = {
    "learning rate": {"optimizer": {**BASE["optimizer"], "learning_rate": 0.3}},
    "momentum and decay": {"optimizer": {**BASE["optimizer"], "rule": OTHER}},
    "bound": {"optimizer": {**BASE["optimizer"], "gradient_transforms": [CLIPPED[0], {**CLIPPED[1], "max_norm": 2.0}]}},
    "dropout rate": {"model": network(0.4)},
    "seed": {"training": {"seed": 4}},
    "flip": {"data": {"augment": {"flip": "random"}}},
}
OTHERS = {
    "no momentum": {"optimizer": {**BASE["optimizer"], "rule": {**SGD, "momentum": 0.0}}},
    "no decay": {"optimizer": {**BASE["optimizer"], "rule": {**SGD, "weight_decay": None}}},
    "nesterov": {"optimizer": {**BASE["optimizer"], "rule": {**SGD, "nesterov": True}}},
    "schedule": {"optimizer": {**BASE["optimizer"], "learning_rate": {"type": "cosine_decay", "initial": 0.1}}},
    "no clipping": {"optimizer": {**BASE["optimizer"], "gradient_transforms": CLIPPED[:1]}},
    "no dropout": {"model": network(None)},
    "dropout of 0": {"model": network(0.0)},
    "width": {"model": network(0.2, layers=[9])},
    "activation": {"model": network(0.2, activation="tanh")},
    "penalty": {"model": network(0.2, regularizer=1e-3)},
    "batch size": {"training": {"batch_size": 16}},
    "smoothing": {"training": {"label_smoothing": 0.1}},
    "mixed labels": {"data": {"augment": {"layers": [{"type": "mix_up"}]}}},
    "precision": {"training": {"precision": "bfloat16"}},
}


def test_what_is_in_variables_is_not_in_the_structure_and_everything_else_is():
    base = key(**BASE)
    assert {name for name, sections in SAME.items() if key(**{**BASE, **sections}) != base} == set()
    found = {name: key(**{**BASE, **sections}) for name, sections in OTHERS.items()}
    assert len({base, *found.values()}) == 1 + len(OTHERS)


def test_stages_of_resolution_share_a_model_that_takes_any_size():
    network = {"model": {"topology": "convnet", "widths": [4], "blocks": 1}}
    keys = [
        key(**network, data={"augment": {"resolutions": stages}})
        for stages in ([], [{"size": 16, "until": 0.5}], [{"size": 24, "until": 0.1}])
    ]
    assert keys[0] != keys[1] == keys[2]


def test_statistics_of_the_data_are_part_of_a_model():
    standardized = {"data": {"preprocess": "standardize"}}
    assert key(**standardized) != key(**standardized, training={"seed": 4})


def test_a_model_that_is_kept_by_a_callback_is_not_shared():
    assert key(callbacks=[{"type": "best_model"}]) is None


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["adam", "adamw", "nadam", "adamax", "rmsprop", "adagrad", "adadelta", "lion"])
def test_kerass_rules(rule):
    trials = [
        {"model": network(rate), "optimizer": {"rule": {"type": rule, "weight_decay": decay}, "learning_rate": 0.01}}
        for rate, decay in ((0.2, 1e-2), (0.45, 1e-1))
    ]
    assert_as_alone([*trials, trials[0]], [False, True, True])


def composed(number):
    """Every slot of a composed optimizer, with numbers that follow from one."""
    return {
        "rule": {"type": "textbook_adam", "beta_1": 0.9 * number, "weight_decay": 1e-2 * number},
        "learning_rate": 0.01 * number,
        "gradient_transforms": [
            {"type": "skip_non_finite"},
            {"type": "clip_by_global_norm", "max_norm": number},
            {"type": "add_gradient_noise", "stddev": 0.01 * number},
        ],
        "groups": [{"type": "no_decay_on_bias_and_norm"}, {"pattern": "head", "learning_rate_multiplier": 0.5}],
        "averaging": {"type": "exponential", "decay": 0.9},
        "gradient_accumulation_steps": 2,
    }


SMALL = {"train_limit": 48, "validation": 50}
PLAIN = {"rule": SGD, "learning_rate": 0.05}
MOVED = {"rule": OTHER, "learning_rate": 0.02}
STRUCTURES = {
    "convnet": [
        {"model": {"topology": "convnet", "normalization": "batch", "dropout": rate}, "optimizer": rule, "data": SMALL}
        for rate, rule in ((0.2, PLAIN), (0.45, MOVED))
    ],
    "residual": [
        {"model": {"topology": "residual", "depth": 8}, "optimizer": rule, "data": SMALL} for rule in (PLAIN, MOVED)
    ],
    "ensemble": [
        {
            "model": {"topology": "ensemble", "members": 2, "member": {**network(rate), "topology": "mlp_functional"}},
            "optimizer": rule,
        }
        for rate, rule in ((0.2, PLAIN), (0.45, MOVED))
    ],
    "multi_input": [
        {"model": {"topology": "multi_input"}, "optimizer": rule, "data": SMALL} for rule in (PLAIN, MOVED)
    ],
    "composed": [{"model": network(rate), "optimizer": composed(rate + 0.5)} for rate in (0.2, 0.45)],
    "lookahead": [
        {
            "optimizer": {
                "rule": {"type": "lookahead_nesterov", "momentum": momentum, "l2": 1e-3},
                "learning_rate": 0.05,
            }
        }
        for momentum in (0.9, 0.5)
    ],
    "muon": [
        {
            "optimizer": {
                "rule": {
                    "type": "orthogonalized_momentum",
                    "momentum": momentum,
                    "weight_decay": 1e-3,
                    "exclude": ["head"],
                },
                "learning_rate": 0.02,
            }
        }
        for momentum in (0.9, 0.5)
    ],
    "slow weights": [
        {"optimizer": {"rule": rule, "learning_rate": 0.05, "averaging": {"type": "lookahead"}}}
        for rule in (SGD, OTHER)
    ],
    "lsuv": [
        {"model": network(rate, initializer="lsuv"), "training": {"seed": seed}} for rate, seed in ((0.2, 3), (0.4, 4))
    ],
    "bfloat16": [
        {"model": network(rate), "optimizer": rule, "training": {"precision": "bfloat16"}}
        for rate, rule in ((0.21, PLAIN), (0.43, MOVED))
    ],
    "float16": [
        {"model": network(rate), "optimizer": rule, "training": {"precision": "float16"}}
        for rate, rule in ((0.21, PLAIN), (0.43, MOVED))
    ],
    "variable_rate": [
        {"model": network({"type": "variable_rate", "rate": rate}), "optimizer": PLAIN} for rate in (0.2, 0.45)
    ],
    "one rate schedule": [
        {"model": network(rate), "optimizer": {"rule": SGD, "learning_rate": {"type": "cosine_decay", "initial": 0.1}}}
        for rate in (0.2, 0.45)
    ],
    "full batch": [{"optimizer": rule, "training": {"strategy": "full_batch"}} for rule in (PLAIN, MOVED)],
    "mixed labels": [
        {"optimizer": rule, "data": {"augment": {"crop": 2, "flip": "random", "layers": [{"type": "mix_up"}]}}}
        for rule in (PLAIN, MOVED)
    ],
    "plateaus": [
        {
            "optimizer": rule,
            "callbacks": [
                {"type": "reduce_on_plateau", "patience": 0, "factor": 0.5, "min_delta": delta},
                {"type": "divergence_guard"},
                {"type": "early_stopping", "patience": 1},
            ],
        }
        for rule, delta in ((PLAIN, 10.0), (MOVED, 0.0))
    ],
}


# On a processor with AVX2 alone TensorFlow rounds convolutional networks otherwise where rates are in variables: alone
# and re-used each give the same bits time after time, but not each other's.
ROUNDED = () if "avx512f" in machine.cpu_flags() else ("convnet", "multi_input")


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURES)
def test_structures(name):
    trials = STRUCTURES[name]
    assert_as_alone([*trials, trials[0]], [False, True, True], assert_near if name in ROUNDED else assert_same)
