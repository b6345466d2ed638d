"""Parameter groups in the composed optimizer, against Keras and NumPy, on every backend."""

import keras
import numpy as np
import pytest
from network_problem import EAGERLY, RULES, K, applied, arrays, assert_same, network, trained

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    ClipByGlobalNorm,
    ComposedOptimizer,
    GradientTransform,
    MomentumSGD,
    ParameterGroup,
    no_decay_on_bias_and_norm,
)


@pytest.mark.backend
@pytest.mark.parametrize("rule", ["momentum", "adamw", "nadam", "muon"])
def test_a_group_of_ten_times_the_rate_is_keras_multi_optimizer(rule):
    def at(factor):
        made = RULES[rule]()
        source = made._learning_rate
        if isinstance(source, keras.Variable):
            made.learning_rate = float(keras.ops.convert_to_numpy(source)) * factor
        else:
            made.learning_rate = K.schedules.ExponentialDecay(0.05 * factor, 3, 0.8)
        return made

    fast, slow = at(10.0), at(1.0)
    several = K.MultiOptimizer(lambda variable: fast if "head" in variable.path else slow)
    group = ParameterGroup("head/", learning_rate_multiplier=10.0)
    found = trained(ComposedOptimizer(RULES[rule](), groups=[group]))
    assert_same(found, trained(several, **EAGERLY), rtol=1e-5, atol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("rule", ["adamw", "nesterov", "lion"])
def test_no_decay_on_biases_is_keras_exclusion(rule):
    expected = RULES[rule]()
    expected.exclude_from_weight_decay(var_names=["bias"])
    found = ComposedOptimizer(RULES[rule](), groups=[no_decay_on_bias_and_norm()])
    assert_same(trained(found, **EAGERLY), trained(expected, **EAGERLY))


def test_a_group_without_decay_has_none_of_muons_second_one_either():
    model = trained(ComposedOptimizer(K.Muon(1e-9, weight_decay=1e8), groups=[no_decay_on_bias_and_norm()]), epochs=1)
    before = network()
    for variable, start in zip(model.trainable_variables, before.trainable_variables, strict=True):
        moved = np.abs(*(a - b for a, b in [arrays([variable, start])])).max()
        # The rule itself moves nothing at this rate; decay multiplies by 1 - 0.1 at each of four steps.
        assert (moved > 0.01) == ("kernel" in variable.path)


@pytest.mark.backend
def test_group_options_against_numpy():
    rate, decay, own_decay, l2 = 0.1, 0.5, 0.2, 0.3
    groups = [
        ParameterGroup("a", learning_rate_multiplier=2.0),
        ParameterGroup("b", weight_decay=own_decay, l2=l2),
        ParameterGroup("^[ab]$", gradient_transforms=[ClipByGlobalNorm(1.0)]),
    ]
    optimizer = ComposedOptimizer(K.SGD(rate, weight_decay=decay), groups=groups)
    values = {"a": [1.0, 2.0], "b": [3.0], "c": [4.0]}
    gradients = {"a": [3.0, 0.0], "b": [4.0], "c": [5.0]}  # of a and b together: norm 5
    found = applied(optimizer, gradients, values)
    a, b, c = (np.array(values[name]) for name in "abc")
    np.testing.assert_allclose(found["a"], a * (1 - 2 * rate * decay) - 2 * rate * np.array([0.6, 0.0]), rtol=1e-6)
    np.testing.assert_allclose(found["b"], b * (1 - rate * own_decay) - rate * (0.8 + l2 * b), rtol=1e-6)
    np.testing.assert_allclose(found["c"], c * (1 - rate * decay) - rate * 5.0, rtol=1e-6)


@pytest.mark.backend
def test_one_global_norm_over_all_groups():
    groups = [ParameterGroup("a", learning_rate_multiplier=10.0)]
    optimizer = ComposedOptimizer(K.SGD(0.1), [ClipByGlobalNorm(1.0)], groups)
    found = applied(optimizer, {"a": [3.0], "b": [4.0]}, {"a": [0.0], "b": [0.0]})
    np.testing.assert_allclose([found["a"][0], found["b"][0]], [-0.6, -0.08], rtol=1e-5)


FROZEN = {
    "multiplier 0": {"learning_rate_multiplier": 0.0},
    "trainable False": {"trainable": False},
}


@pytest.mark.backend
@pytest.mark.parametrize("how", FROZEN)
@pytest.mark.parametrize("rule", ["momentum", "adamw", "muon"])
def test_frozen_is_frozen_to_the_bit_and_the_rest_trains_as_if_alone(rule, how):
    frozen = ComposedOptimizer(RULES[rule](), [ClipByGlobalNorm(0.5)], [ParameterGroup("trunk/", **FROZEN[how])])
    model = trained(frozen, **EAGERLY)
    alone = network()
    alone.get_layer("trunk").trainable = False
    alone = trained(ComposedOptimizer(RULES[rule](), [ClipByGlobalNorm(0.5)]), model=alone, **EAGERLY)
    trunks = (each.get_layer("trunk").get_weights() for each in (model, network()))
    for left, right in zip(*trunks, strict=True):
        assert left.tobytes() == right.tobytes()
    assert_same(model, alone, rtol=1e-5, atol=1e-7)


@pytest.mark.backend
@pytest.mark.parametrize("how", FROZEN)
def test_an_infinite_gradient_of_a_frozen_variable_touches_nothing(how):
    optimizer = ComposedOptimizer(
        K.SGD(0.1, momentum=0.9), [ClipByGlobalNorm(1.0)], [ParameterGroup("a", **FROZEN[how])]
    )
    found = applied(optimizer, {"a": [np.inf], "b": [4.0]}, {"a": [1.0], "b": [0.0]})
    assert found["a"].tolist() == [1.0]
    np.testing.assert_allclose(found["b"], [-0.1], rtol=1e-6)


class Switch(keras.callbacks.Callback):
    """Turns `name` to the values given, at the start of each epoch, and keeps copies of all state at its end."""

    def __init__(self, name, values):
        super().__init__()
        self.name, self.values, self.states = name, values, []

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.hyperparameters[self.name] = self.values[epoch]

    def on_epoch_end(self, epoch, logs=None):
        self.states.append({v.path: a for v in self.model.optimizer.variables for a in arrays([v])})
        self.states[-1] |= {v.path: a for v in self.model.weights for a in arrays([v])}


class CountTraces(GradientTransform):
    def __init__(self):
        super().__init__()
        self.count, self.after = 0, []

    def transform(self, gradients, variables):
        self.count += 1
        return gradients


@pytest.mark.backend
def test_the_freezing_switch_is_turned_during_training():
    group = ParameterGroup("trunk/", trainable=False, name="trunk")
    switch = Switch("trunk.trainable", [0.0, 1.0, 0.0, 1.0])
    traces = CountTraces()
    optimizer = ComposedOptimizer(K.SGD(0.05, momentum=0.9, weight_decay=0.1), [traces], [group])
    seen = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: traces.after.append(traces.count))
    trained(optimizer, epochs=4, callbacks=[switch, seen])
    trunk = [path for path in switch.states[0] if "trunk" in path]
    assert len(trunk) == 4  # kernel and bias, and their momentums
    frozen_again = [switch.states[1][path].tobytes() == switch.states[2][path].tobytes() for path in trunk]
    moved = [switch.states[0][path].tobytes() != switch.states[1][path].tobytes() for path in trunk]
    assert all(frozen_again) and all(moved)
    assert all(switch.states[2][path].tobytes() != switch.states[3][path].tobytes() for path in trunk)
    if keras.backend.backend() != "torch":  # which runs eagerly
        assert len(set(traces.after)) == 1, "the step was traced again"


@pytest.mark.backend
def test_groups_of_one_rule_follow_one_momentum_variable():
    rule = MomentumSGD(0.1, momentum=0.9)
    optimizer = ComposedOptimizer(rule, groups=[ParameterGroup("a", learning_rate_multiplier=2.0)])
    variables = [keras.Variable([0.0], name="a"), keras.Variable([0.0], name="b")]
    gradients = [keras.ops.convert_to_tensor([1.0])] * 2
    optimizer.apply(gradients, variables)
    optimizer.hyperparameters["momentum"] = 0.5
    optimizer.apply(gradients, variables)
    # v1 = -r, v2 = 0.5 v1 - r; the sum is -2.5 r.
    np.testing.assert_allclose(np.concatenate(arrays(variables)), [-0.5, -0.25], rtol=1e-6)
    assert len({id(v) for v in optimizer.variables}) == len(optimizer.variables)


def test_a_group_cannot_be_changed():
    group = ParameterGroup("trunk/", trainable=False, name="trunk")
    with pytest.raises(InputError, match=r"cannot be changed.*hyperparameters\['trunk.trainable'\]"):
        group.trainable = True


def test_groups_are_checked_against_a_built_model_only():
    with pytest.raises(InputError, match="must be built"):
        ComposedOptimizer(K.SGD(0.1)).check_groups(keras.Sequential([keras.layers.Dense(2)]))


def test_groups_that_do_not_fit_are_refused_before_the_first_step():
    with pytest.raises(InputError, match=r"'tail/'.*matches no trainable variable.*network/trunk/kernel"):
        trained(ComposedOptimizer(K.SGD(0.1), groups=[ParameterGroup("tail/", l2=0.1)]))
    two = [ParameterGroup("bias", l2=0.1), ParameterGroup("head/", l2=0.2)]
    with pytest.raises(InputError, match=r"Two parameter groups set `l2` for the variable 'network/head/bias'"):
        trained(ComposedOptimizer(K.SGD(0.1), groups=two))


def test_groups_of_one_name_are_told_apart_by_a_number():
    groups = [ParameterGroup(pattern, l2=0.1, name="same") for pattern in "ab"]
    assert {"same.l2", "same.l2_2"} <= set(ComposedOptimizer(K.SGD(0.1), groups=groups).hyperparameters)
