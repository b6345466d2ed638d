"""Fails when Keras changes what is used of its optimizers beyond the public API."""

import keras
import numpy as np
import pytest

from kerastrain._core import keras_optimizer

pytestmark = pytest.mark.backend
K = keras.optimizers


def number(value):
    return float(keras.ops.convert_to_numpy(value))


def test_the_learning_rate_source():
    schedule = K.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert keras_optimizer.learning_rate_source(K.SGD(0.25)) == 0.25
    assert keras_optimizer.learning_rate_source(K.SGD(schedule)) is schedule


def test_exclusions_are_seen():
    optimizer = K.AdamW(0.1)
    assert keras_optimizer.weight_decay_exclusions(optimizer) == []
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    assert keras_optimizer.weight_decay_exclusions(optimizer) == ["names with 'bias'"]
    optimizer.exclude_from_weight_decay(var_list=[keras.Variable([1.0])])
    assert keras_optimizer.weight_decay_exclusions(optimizer) == ["1 variables"]


def test_no_rule_of_keras_overrides_what_is_gone_past():
    rules = [K.SGD, K.Adam, K.AdamW, K.Adamax, K.Nadam, K.RMSprop, K.Adagrad, K.Adadelta, K.Adafactor, K.Ftrl, K.Lamb]
    rules += [K.Lion, K.Muon, K.ScheduleFreeAdamW]
    assert [rule.__name__ for rule in rules if keras_optimizer.overridden(rule(0.1))] == []

    class Own(K.SGD):
        def apply(self, grads, trainable_variables=None):
            super().apply(grads, trainable_variables)

    assert keras_optimizer.overridden(Own(0.1)) == ["apply"]
    assert keras_optimizer.overridden(Own(0.1), (Own,)) == []


def test_a_member_counts_and_reads_its_rate_elsewhere():
    owner, member = K.SGD(0.1), K.Adam(0.5)
    own = member.iterations
    keras_optimizer.follow(member, owner.iterations, lambda: 0.25)
    variable = keras.Variable([1.0])
    member.build([variable])
    assert all(v is not own for v in member.variables) and any(v is owner.iterations for v in member.variables)
    keras_optimizer.update(member, [keras.ops.convert_to_tensor([3.0])], [variable], 0.25)
    # Adam's first step is the rate, whatever the gradient.
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), [0.75], rtol=1e-5)
    assert number(owner.iterations) == 0, "an update is counted by the owner"
    owner.iterations.assign(41)
    assert number(member.iterations) == 41
    assert keras_optimizer.index_of(member, variable) == 0
    assert keras_optimizer.built_with(member)[0] is variable
    if keras.backend.backend() == "tensorflow":  # whose `update_step` is given the backend's
        assert keras_optimizer.key_of(member, variable) == keras_optimizer.key_of(member, variable.value)
    assert keras_optimizer.key_of(member, variable) != keras_optimizer.key_of(member, owner.iterations)


def test_an_update_decays_first():
    owner, member = K.SGD(0.1), K.SGD(0.5, weight_decay=0.2)
    keras_optimizer.follow(member, owner.iterations, lambda: 0.5)
    variable = keras.Variable([1.0])
    member.build([variable])
    keras_optimizer.update(member, [keras.ops.convert_to_tensor([1.0])], [variable], 0.5)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), [1.0 - 0.5 * 0.2 - 0.5], rtol=1e-6)


def test_usable_drops_what_has_no_gradient():
    optimizer = K.SGD(0.1)
    variables = [keras.Variable([1.0]), keras.Variable([2.0])]
    optimizer.build(variables)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        gradients, kept = keras_optimizer.usable(optimizer, [None, keras.ops.ones(1)], variables)
    assert len(gradients) == 1 and kept[0] is variables[1]
    keras_optimizer.check_known(optimizer, variables)
    with pytest.raises(ValueError, match="Unknown variable"):
        keras_optimizer.check_known(optimizer, [keras.Variable([1.0])])


def test_own_variables_are_those_that_keras_tracks():
    optimizer = K.SGD(0.1)
    assert [variable.name for variable in keras_optimizer.own_variables(optimizer)] == ["iteration", "learning_rate"]


def test_a_rule_is_serialized_for_every_backend():
    serialized = keras_optimizer.serialized_rule(K.AdamW(0.1))
    assert serialized["module"] == "keras.optimizers" and serialized["class_name"] == "AdamW"
    assert isinstance(keras.saving.deserialize_keras_object(serialized), K.AdamW)


def test_another_source_of_the_learning_rate_and_back():
    optimizer = K.SGD(0.25)
    optimizer.build([keras.Variable([1.0])])
    variables = list(optimizer.variables)
    rate = next(variable for variable in variables if "learning_rate" in variable.path)
    with keras_optimizer.learning_rate_from(optimizer, K.schedules.InverseTimeDecay(1.0, 1, 1.0)):
        assert number(optimizer.learning_rate) == 1.0
        keras_optimizer.counter(optimizer).assign(1)
        assert number(optimizer.learning_rate) == 0.5
    assert number(optimizer.learning_rate) == 0.25
    rate.assign(0.125)
    assert number(optimizer.learning_rate) == 0.125
    assert [id(variable) for variable in optimizer.variables] == [id(variable) for variable in variables]
