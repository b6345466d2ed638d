"""The composed optimizer against Keras's own optimizers and NumPy, on every backend."""

import keras
import numpy as np
import pytest
from network_problem import DECAY, EAGERLY, RULES, K, arrays, assert_same, data, network, trained

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    ClipByGlobalNorm,
    ComposedOptimizer,
    ExponentialAveraging,
    ParameterGroup,
    PolyakAveraging,
    SkipNonFinite,
    no_decay_on_bias_and_norm,
)


@pytest.mark.backend
@pytest.mark.parametrize("rule", RULES)
def test_with_empty_slots_it_is_the_rule_to_the_bit(rule):
    # XLA orders the sums of the two graphs as it likes.
    tolerance = {"rtol": 1e-6, "atol": 1e-7} if keras.backend.backend() == "jax" else {}
    how = {} if rule in ("momentum", "adamw") else EAGERLY
    # A power is rounded by where in the processor's vectors its element is, and so by what it is joined with.
    fused = False if rule == "ftrl" else None
    assert_same(
        trained(ComposedOptimizer(RULES[rule](), fused=fused), **how), trained(RULES[rule](), **how), **tolerance
    )


@pytest.mark.backend
def test_keras_schedulers_and_plateau_callbacks_set_the_rate():
    rates = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    assert_same(
        trained(ComposedOptimizer(K.SGD(0.1, momentum=0.9)), epochs=3, callbacks=[rates]),
        trained(K.SGD(0.1, momentum=0.9), epochs=3, callbacks=[rates], **EAGERLY),
        rtol=1e-6,
        atol=1e-7,
    )
    plateau = [
        keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=1, min_delta=100.0) for _ in range(2)
    ]
    one = trained(ComposedOptimizer(K.SGD(0.1)), epochs=4, callbacks=[plateau[0]])
    other = trained(K.SGD(0.1), epochs=4, callbacks=[plateau[1]], **EAGERLY)
    assert float(keras.ops.convert_to_numpy(one.optimizer.learning_rate)) == pytest.approx(0.1**4, rel=1e-5)
    assert_same(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.backend
def test_the_plateau_multiplier_scales_a_schedule():
    class Halve(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.plateau_multiplier.assign(0.5**epoch)

    found = trained(ComposedOptimizer(K.SGD(DECAY)), epochs=3, callbacks=[Halve()])

    # 4 steps an epoch: the same rates, one by one.
    rates = iter([0.05 * 0.8 ** (step / 3) * 0.5 ** (step // 4) for step in range(12)])
    expected = network()
    expected.compile(K.SGD(0.1), loss="mse")
    inputs, targets = data()
    for _ in range(3):
        for start in range(0, 32, 8):
            expected.optimizer.learning_rate = next(rates)
            expected.train_on_batch(inputs[start : start + 8], targets[start : start + 8])
    assert_same(found, expected, rtol=2e-5, atol=1e-7)


def test_setting_the_rate_sets_it_whatever_the_multiplier_was():
    optimizer = ComposedOptimizer(K.SGD(0.1))
    optimizer.plateau_multiplier.assign(0.5)
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.05)
    optimizer.learning_rate = 0.3
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.3)
    scheduled = ComposedOptimizer(K.SGD(DECAY))
    with pytest.raises(TypeError, match="plateau_multiplier"):
        scheduled.learning_rate = 0.1
    scheduled.learning_rate = K.schedules.ExponentialDecay(0.2, 1, 0.5)
    assert float(keras.ops.convert_to_numpy(scheduled.learning_rate)) == pytest.approx(0.2)


@pytest.mark.backend
@pytest.mark.parametrize("rule", ["momentum", "adamw", "nadam"])
def test_accumulation_over_two_batches_is_a_batch_of_twice_the_size(rule):
    # The schedule counts updates: two updates an epoch in both.
    found = trained(ComposedOptimizer(RULES[rule](), gradient_accumulation_steps=2))
    assert int(keras.ops.convert_to_numpy(found.optimizer.iterations)) == 4
    assert_same(found, trained(RULES[rule](), batch_size=16, **EAGERLY), rtol=1e-4, atol=1e-6)


@pytest.mark.backend
def test_accumulation_is_kerass_where_the_rate_is_constant():
    expected = K.AdamW(0.01, weight_decay=0.1, gradient_accumulation_steps=3)
    found = ComposedOptimizer(K.AdamW(0.01, weight_decay=0.1), gradient_accumulation_steps=3)
    assert_same(trained(found), trained(expected, **EAGERLY), rtol=1e-6, atol=1e-7)


@pytest.mark.backend
def test_several_steps_in_one_call_are_the_same_steps():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras has no compiled loop on torch")

    def made():
        return ComposedOptimizer(
            K.AdamW(0.01, weight_decay=0.1), [ClipByGlobalNorm(0.5)], [no_decay_on_bias_and_norm()], PolyakAveraging(2)
        )

    assert_same(trained(made(), steps_per_execution=4), trained(made(), **EAGERLY), rtol=1e-6, atol=1e-7)


@pytest.mark.backend
def test_constraints_hold_after_each_update():
    class Smallest(keras.callbacks.Callback):
        least = 0.0

        def on_epoch_end(self, epoch, logs=None):
            self.least = min(self.least, *(array.min() for array in arrays(self.model.get_layer("head").weights[:1])))

    smallest = Smallest()
    model = network(kernel_constraint=keras.constraints.NonNeg())
    trained(ComposedOptimizer(K.SGD(0.5)), model=model, callbacks=[smallest], epochs=3)
    assert smallest.least == 0.0


@pytest.mark.backend
def test_variables_without_a_gradient_are_left_alone():
    groups = [ParameterGroup("a", learning_rate_multiplier=3.0)]
    optimizer = ComposedOptimizer(K.Adam(0.1), [ClipByGlobalNorm(1.0)], groups)
    variables = [keras.Variable([1.0], name="a"), keras.Variable([1.0], name="b")]
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([None, keras.ops.convert_to_tensor([1.0])], variables)
    first, second = arrays(variables)
    assert first.tolist() == [1.0] and second[0] == pytest.approx(0.9, rel=1e-4)
    with pytest.raises(ValueError, match="No gradients provided"):
        optimizer.apply([None, None], variables)
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply([keras.ops.ones(1)], [keras.Variable([1.0])])
    with pytest.raises(ValueError, match="one gradient for each of the 2 variables"):
        optimizer.apply([keras.ops.ones(1)])
    with pytest.raises(ValueError, match="needs a built optimizer"):
        ComposedOptimizer(K.SGD(0.1)).apply([keras.ops.ones(1)])


@pytest.mark.backend
def test_stateless_apply_on_jax():
    if keras.backend.backend() != "jax":
        pytest.skip("of JAX")
    optimizer = ComposedOptimizer(
        K.SGD(0.1, momentum=0.9), [SkipNonFinite(), ClipByGlobalNorm(1.0)], averaging=ExponentialAveraging(0.5)
    )
    variable = keras.Variable([0.0, 0.0])
    optimizer.build([variable])
    values, state = [variable.value], [v.value for v in optimizer.variables]
    for gradient in ([3.0, 4.0], [np.nan, 0.0], [3.0, 4.0]):
        values, state = optimizer.stateless_apply(state, [keras.ops.convert_to_tensor(gradient)], values)
    # Steps of 0.1 * (0.6, 0.8), the second 1.9 times that; the one with NaN is no step.
    np.testing.assert_allclose(values[0], [-0.06 * 2.9, -0.08 * 2.9], rtol=1e-5)
    assert arrays([variable])[0].tolist() == [0.0, 0.0]


def test_hyperparameters_are_those_that_move_and_others_say_so():
    optimizer = ComposedOptimizer(
        K.SGD(0.1, momentum=0.9, weight_decay=0.1),
        [ClipByGlobalNorm(1.0)],
        [ParameterGroup("a", weight_decay=0.2, trainable=False, name="first")],
    )
    assert sorted(optimizer.hyperparameters) == [
        "clip_by_global_norm.max_norm",
        "first.trainable",
        "first.weight_decay",
        "learning_rate",
        "plateau_multiplier",
        "weight_decay",
    ]
    with pytest.raises(InputError, match=r"`momentum` is not a hyperparameter.*Keras's own rules bake"):
        optimizer.hyperparameters["momentum"]
    with pytest.raises(InputError, match="Did you mean `weight_decay`"):
        optimizer.hyperparameters["weight_deacy"] = 0.0
    assert "learning_rate" not in ComposedOptimizer(K.SGD(DECAY)).hyperparameters


@pytest.mark.backend
def test_weight_decay_moves_during_training():
    optimizer = ComposedOptimizer(K.SGD(0.1, weight_decay=0.5))
    variable = keras.Variable([1.0], name="a")
    for decay in (0.5, 1.0):
        optimizer.hyperparameters["weight_decay"] = decay
        optimizer.apply([keras.ops.convert_to_tensor([0.0])], [variable])
    np.testing.assert_allclose(arrays([variable])[0], [0.95 * 0.9], rtol=1e-6)


@pytest.mark.backend
def test_weights_are_set_in_the_order_of_variables():
    one, other = (ComposedOptimizer(K.Adam(0.1), averaging=PolyakAveraging()) for _ in range(2))
    trained(one)
    model = network()
    other.build(model.trainable_variables)
    other.set_weights(arrays(one.variables))
    for left, right in zip(arrays(one.variables), arrays(other.variables), strict=True):
        assert left.tobytes() == right.tobytes()
    with pytest.raises(InputError, match=r"must have [0-9]+ arrays"):
        other.set_weights([np.zeros(())])
    with pytest.raises(InputError, match="has shape"):
        other.set_weights([np.zeros((2, 2))] * len(other.variables))
