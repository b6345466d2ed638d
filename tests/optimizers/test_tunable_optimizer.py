"""What holds for every rule with movable hyperparameters: state, configs, schedules, adoption, refusals."""

import keras
import numpy as np
import pytest
from rule_problem import START, assert_same_path, follow, moving_momentum, moving_rate, numpy_walk
from tunable_rules import RULES, rule

from kerastrain._core.errors import InputError
from kerastrain._core.registry import Registry
from kerastrain.optimizers.momentum_sgd import MomentumSGD
from kerastrain.optimizers.textbook_adam import TextbookAdam


@pytest.mark.backend
@pytest.mark.parametrize("name", RULES)
def test_hyperparameters_are_scalar_variables_of_the_optimizer(name):
    optimizer = rule(name)
    assert set(optimizer.hyperparameters) == RULES[name][2]
    held = {id(variable) for variable in optimizer.variables}
    for key, variable in optimizer.hyperparameters.items():
        assert tuple(variable.shape) == () and variable.dtype == "float32" and variable.name == key
        assert id(variable) in held
        if key in RULES[name][1]:
            assert float(keras.ops.convert_to_numpy(variable)) == np.float32(RULES[name][1][key])
    with pytest.raises(InputError, match="cannot be removed"):
        optimizer.hyperparameters.clear()
    assert set(optimizer.hyperparameters) == RULES[name][2]


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_the_config_makes_it_again(name, scheduled):
    kind, _, hyperparameters = RULES[name]
    schedule = keras.optimizers.schedules.PolynomialDecay(0.9, 10, 0.5)
    moving = dict.fromkeys(hyperparameters, schedule) if scheduled else {}
    optimizer = rule(name, **moving, clipnorm=2.0, name="mine")
    assert keras.saving.get_registered_name(kind) == f"kerastrain>{kind.__name__}"
    for variable in optimizer.hyperparameters.values():
        variable.assign(0.25)
    config = optimizer.get_config()
    for key, value in RULES[name][1].items():
        assert config[key] == value or (scheduled and key in hyperparameters and isinstance(config[key], dict))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert type(again) is kind and again.get_config() == config
    assert again.clipnorm == 2.0 and again.name == "mine"
    assert set(again.hyperparameters) == hyperparameters


@pytest.mark.backend
def test_a_schedule_is_read_before_each_update():
    moving, momentum = moving_momentum()
    optimizer = MomentumSGD(0.01, momentum=moving)
    assert float(keras.ops.convert_to_numpy(optimizer.hyperparameters["momentum"])) == np.float32(0.95)
    seen = []
    follow(optimizer, steps=5, after=lambda step: seen.append(float(optimizer.hyperparameters["momentum"].numpy())))
    np.testing.assert_allclose(seen, [momentum(step) for step in range(5)], rtol=1e-6)


@pytest.mark.backend
def test_a_schedule_keeps_pace_with_the_learning_rate_under_accumulation():
    # Keras reads the rate's schedule at the micro-steps; two of them make an update, which sees the second's value.
    schedule = keras.optimizers.schedules.PolynomialDecay(0.8, 8, 0.0)
    optimizer = MomentumSGD(schedule, momentum=schedule, gradient_accumulation_steps=2)
    weight = keras.Variable([1.0])
    value, velocity = 1.0, 0.0
    for step in range(8):
        optimizer.apply([keras.ops.convert_to_tensor([1.0 + step])], [weight])
        if step % 2:
            now = 0.8 * (1 - step / 8)
            velocity = now * velocity - now * (step + 0.5)
            value += velocity
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), [value], rtol=1e-5)


@pytest.mark.backend
def test_weight_decay_may_move():
    (schedule, rate), steps = moving_rate(), 20
    decaying = keras.optimizers.schedules.PolynomialDecay(0.5, 20, 0.0)
    for optimizer, decay in (
        (MomentumSGD(schedule, momentum=0.0, weight_decay=decaying), lambda step: 0.5 * (1 - step / 20)),
        (MomentumSGD(schedule, momentum=0.0, weight_decay=0.1), lambda step: 0.1 if step < 10 else 0.9),
    ):

        def move(step, index, value, gradient, decay=decay):
            return value - rate(step) * decay(step) * value - rate(step) * gradient

        def before(step, optimizer=optimizer, decay=decay):
            if step == 10:
                optimizer.hyperparameters["weight_decay"].assign(decay(step))

        assert_same_path(follow(optimizer, steps=steps, before=before), numpy_walk(move, steps=steps))


@pytest.mark.backend
def test_weights_can_be_kept_from_decay():
    optimizer = TextbookAdam(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    weights = [keras.Variable([2.0], name="kernel"), keras.Variable([2.0], name="bias")]
    optimizer.apply([keras.ops.ones(1)] * 2, weights)
    found = [float(keras.ops.convert_to_numpy(weight)[0]) for weight in weights]
    np.testing.assert_allclose(found, [2.0 - 0.1 * 0.5 * 2.0 - 0.1, 2.0 - 0.1], rtol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("name", RULES)
def test_an_adopter_follows_the_others_variables(name):
    owner = rule(name)
    own = rule(name)
    before = {id(variable) for variable in own.hyperparameters.values()}
    count = len(own.variables)
    own.adopt_hyperparameters(owner)
    assert len(own.variables) == count
    assert not before & {id(variable) for variable in own.variables}
    for key, variable in owner.hyperparameters.items():
        assert own.hyperparameters[key] is variable
        assert sum(held is variable for held in own.variables) == 1
        variable.assign(0.25)
    # It now walks as a rule that was given 0.25, decay included, and tells of what it was given.
    expected = rule(name, **dict.fromkeys(RULES[name][2], 0.25))
    assert_same_path(follow(own, steps=8), follow(expected, steps=8), rtol=0, atol=0)
    assert own.get_config() == {**rule(name).get_config(), "name": own.name}


def test_a_schedule_is_kept_by_an_adopter():
    moving, momentum = moving_momentum()
    owner, adopter = (MomentumSGD(0.01, momentum=moving) for _ in range(2))
    adopter.adopt_hyperparameters(owner)
    follow(adopter, steps=4)
    np.testing.assert_allclose(owner.hyperparameters["momentum"].numpy(), momentum(3), rtol=1e-6)


@pytest.mark.parametrize(
    "other", [TextbookAdam(), MomentumSGD(l2=0.1), keras.optimizers.SGD()], ids=["class", "l2", "keras"]
)
def test_only_a_like_rule_can_be_adopted(other):
    with pytest.raises(InputError, match="`other` must be a MomentumSGD with the same hyperparameters, so momentum"):
        MomentumSGD().adopt_hyperparameters(other)


def test_keras_arguments_pass_through():
    optimizer = MomentumSGD(1, momentum=0, clipvalue=0.5, use_ema=True, ema_momentum=0.5)
    assert isinstance(optimizer.get_config()["learning_rate"], float)
    weight = keras.Variable([0.0])
    optimizer.apply([keras.ops.convert_to_tensor([3.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), [-0.5])
    with pytest.raises(ValueError, match="not recognized"):
        MomentumSGD(momentun=0.5)
    with pytest.raises(ValueError, match="Only one of"):
        TextbookAdam(clipnorm=1.0, clipvalue=1.0)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": -0.1}, "`learning_rate` must be a number >= 0. Received: learning_rate=-0.1."),
        ({"learning_rate": "fast"}, "`learning_rate` must be a number >= 0. Received: learning_rate='fast'."),
        ({"learning_rate": None}, "`learning_rate` must be a number >= 0. Received: learning_rate=None."),
        ({"weight_decay": -0.1}, "`weight_decay` must be a number >= 0. Received: weight_decay=-0.1. Use None"),
        ({"weight_decay": "small"}, "`weight_decay` must be a number >= 0. Received: weight_decay='small'."),
    ],
    ids=str,
)
def test_a_bad_common_argument_is_refused(name, arguments, message):
    with pytest.raises(InputError) as error:
        rule(name, **arguments)
    assert message in str(error.value)


@pytest.mark.parametrize("name", RULES)
def test_a_recipe_can_name_the_rule(name):
    kind, arguments, _ = RULES[name]
    registry = Registry("optimizer rule")
    registry.add("mine", kind, "A rule.", skip=("learning_rate",))
    found = registry.create({"type": "mine", **arguments}, learning_rate=0.5)
    assert {**found.get_config(), "name": ""} == {**kind(0.5, **arguments).get_config(), "name": ""}
    key = min(RULES[name][2])
    with pytest.raises(InputError, match=key):
        registry.create({"type": "mine", key: -1.0}, learning_rate=0.5)


@pytest.mark.backend
def test_a_first_update_builds_the_state():
    for name in RULES:
        optimizer = rule(name)
        follow(optimizer, steps=1)
        shapes = [tuple(variable.shape) for variable in optimizer.variables]
        assert all(shapes.count(value.shape) >= 1 for value in START)
