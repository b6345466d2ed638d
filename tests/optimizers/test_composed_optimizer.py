"""The composed optimizer against Keras's own optimizers and NumPy, on every backend."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    AdaptiveClip,
    ClipByGlobalNorm,
    ComposedOptimizer,
    ExponentialAveraging,
    GradientTransform,
    LookaheadNesterov,
    MomentumSGD,
    ParameterGroup,
    PolyakAveraging,
    SkipNonFinite,
    averaged_weights,
    no_decay_on_bias_and_norm,
)

K = keras.optimizers
DECAY = K.schedules.ExponentialDecay(0.05, 3, 0.8)
RULES = {
    "sgd": lambda: K.SGD(0.05),
    "momentum": lambda: K.SGD(DECAY, momentum=0.9),
    "nesterov": lambda: K.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda: K.Adam(DECAY, amsgrad=True),
    "adamw": lambda: K.AdamW(0.01, weight_decay=0.1),
    "adamax": lambda: K.Adamax(0.01),
    "nadam": lambda: K.Nadam(0.01),
    "rmsprop": lambda: K.RMSprop(DECAY, momentum=0.5, centered=True),
    "adagrad": lambda: K.Adagrad(0.1),
    "adadelta": lambda: K.Adadelta(1.0),
    "adafactor": lambda: K.Adafactor(0.01),
    "ftrl": lambda: K.Ftrl(0.05),
    "lamb": lambda: K.Lamb(0.01),
    "lion": lambda: K.Lion(0.003, weight_decay=0.1),
    "muon": lambda: K.Muon(0.01, weight_decay=0.1),
    "schedule_free": lambda: K.ScheduleFreeAdamW(0.01),
}


def network(seed=0, **head):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="tanh", name="trunk"),
            keras.layers.Dense(2, name="head", **head),
        ],
        name="network",
    )


def data(samples=32):
    inputs = np.random.default_rng(0).normal(size=(samples, 4)).astype(np.float32)
    return inputs, inputs[:, :2] - inputs[:, 2:]


def trained(optimizer, epochs=2, callbacks=(), jit="auto", batch_size=8, model=None, **options):
    model = model or network()
    model.compile(optimizer, loss="mse", jit_compile=jit, **options)
    model.fit(*data(), batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks))
    return model


def assert_same(one, other, **tolerance):
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        if tolerance:
            np.testing.assert_allclose(left, right, **tolerance)
        else:
            assert left.tobytes() == right.tobytes()


def arrays(variables):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def applied(optimizer, gradients, values, steps=1):
    """The values of variables called a, b, ... after `steps` equal gradients."""
    variables = [keras.Variable(np.float32(value), name=name) for name, value in values.items()]
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(np.float32(gradients[name])) for name in values], variables)
    return dict(zip(values, arrays(variables), strict=True))


@pytest.mark.backend
@pytest.mark.parametrize("rule", RULES)
def test_with_empty_slots_it_is_the_rule_to_the_bit(rule):
    # XLA orders the sums of the two graphs as it likes.
    tolerance = {"rtol": 1e-6, "atol": 1e-7} if keras.backend.backend() == "jax" else {}
    assert_same(trained(ComposedOptimizer(RULES[rule]())), trained(RULES[rule]()), **tolerance)


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
    assert_same(trained(ComposedOptimizer(RULES[rule](), groups=[group])), trained(several), rtol=1e-5, atol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("rule", ["adamw", "nesterov", "lion"])
def test_no_decay_on_biases_is_keras_exclusion(rule):
    expected = RULES[rule]()
    expected.exclude_from_weight_decay(var_names=["bias"])
    found = ComposedOptimizer(RULES[rule](), groups=[no_decay_on_bias_and_norm()])
    assert_same(trained(found), trained(expected))


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
    model = trained(frozen)
    alone = network()
    alone.get_layer("trunk").trainable = False
    alone = trained(ComposedOptimizer(RULES[rule](), [ClipByGlobalNorm(0.5)]), model=alone)
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


@pytest.mark.backend
def test_keras_schedulers_and_plateau_callbacks_set_the_rate():
    rates = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    assert_same(
        trained(ComposedOptimizer(K.SGD(0.1, momentum=0.9)), epochs=3, callbacks=[rates]),
        trained(K.SGD(0.1, momentum=0.9), epochs=3, callbacks=[rates]),
    )
    plateau = [
        keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=1, min_delta=100.0) for _ in range(2)
    ]
    one = trained(ComposedOptimizer(K.SGD(0.1)), epochs=4, callbacks=[plateau[0]])
    other = trained(K.SGD(0.1), epochs=4, callbacks=[plateau[1]])
    assert float(keras.ops.convert_to_numpy(one.optimizer.learning_rate)) == pytest.approx(0.1**4, rel=1e-5)
    assert_same(one, other)


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
    assert_same(found, trained(RULES[rule](), batch_size=16), rtol=1e-4, atol=1e-6)


@pytest.mark.backend
def test_accumulation_is_kerass_where_the_rate_is_constant():
    expected = K.AdamW(0.01, weight_decay=0.1, gradient_accumulation_steps=3)
    found = ComposedOptimizer(K.AdamW(0.01, weight_decay=0.1), gradient_accumulation_steps=3)
    assert_same(trained(found), trained(expected), rtol=1e-6, atol=1e-8)


@pytest.mark.backend
def test_several_steps_in_one_call_are_the_same_steps():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras has no compiled loop on torch")

    def made():
        return ComposedOptimizer(
            K.AdamW(0.01, weight_decay=0.1), [ClipByGlobalNorm(0.5)], [no_decay_on_bias_and_norm()], PolyakAveraging(2)
        )

    assert_same(trained(made(), steps_per_execution=4), trained(made()), rtol=1e-6, atol=1e-7)


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


class OwnApply(K.SGD):
    def apply(self, grads, trainable_variables=None):
        super().apply([2 * gradient for gradient in grads], trainable_variables)


def excluded():
    optimizer = K.AdamW(0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def built():
    optimizer = K.SGD(0.1)
    optimizer.build([keras.Variable([1.0])])
    return optimizer


REFUSED = {
    "clipnorm": (lambda: ComposedOptimizer(K.SGD(0.1, clipnorm=1.0)), r"ClipByNorm\(1.0\)"),
    "clipvalue": (lambda: ComposedOptimizer(K.SGD(0.1, clipvalue=2.0)), r"ClipByValue\(-2.0, 2.0\)"),
    "global_clipnorm": (lambda: ComposedOptimizer(K.SGD(0.1, global_clipnorm=1.0)), r"ClipByGlobalNorm\(1.0\)"),
    "accumulation": (
        lambda: ComposedOptimizer(K.SGD(0.1, gradient_accumulation_steps=4)),
        "gradient_accumulation_steps=4",
    ),
    "ema": (lambda: ComposedOptimizer(K.SGD(0.1, use_ema=True)), r"ExponentialAveraging\(0.99, bias_correction=False"),
    "loss scale": (lambda: ComposedOptimizer(K.SGD(0.1, loss_scale_factor=8.0)), "loss_scale_factor=8.0"),
    "exclusions": (lambda: ComposedOptimizer(excluded()), "names with 'bias'.*no_decay_on_bias_and_norm"),
    "built": (lambda: ComposedOptimizer(built()), r"built already.*SGD.from_config"),
    "loss scale optimizer": (lambda: ComposedOptimizer(K.LossScaleOptimizer(K.SGD(0.1))), "goes around"),
    "multi": (
        lambda: ComposedOptimizer(K.MultiOptimizer(K.OptimizerMap(K.SGD(0.1)))),
        "learning_rate_multiplier",
    ),
    "twice": (lambda: ComposedOptimizer(ComposedOptimizer(K.SGD(0.1))), "into one ComposedOptimizer"),
    "own apply": (lambda: ComposedOptimizer(OwnApply(0.1)), "OwnApply has its own apply"),
    "a name": (
        lambda: ComposedOptimizer("adam"),
        r"Received: 'adam'. Write keras.optimizers.Adam\(\)",
    ),
    "transform alone": (lambda: ComposedOptimizer(K.SGD(0.1), ClipByGlobalNorm(1.0)), "a list of gradient transforms"),
    "no transform": (lambda: ComposedOptimizer(K.SGD(0.1), [1.0]), r"gradient_transforms\[0\]"),
    "skip second": (
        lambda: ComposedOptimizer(K.SGD(0.1), [AdaptiveClip(0.1), SkipNonFinite()]),
        "must be the first",
    ),
    "no group": (lambda: ComposedOptimizer(K.SGD(0.1), groups=["bias"]), "a list of ParameterGroup"),
    "no averaging": (lambda: ComposedOptimizer(K.SGD(0.1), averaging=0.99), "PolyakAveraging"),
    "accumulation 1": (lambda: ComposedOptimizer(K.SGD(0.1), gradient_accumulation_steps=1), "whole number >= 2"),
    "accumulation 2.5": (lambda: ComposedOptimizer(K.SGD(0.1), gradient_accumulation_steps=2.5), "whole number >= 2"),
    "exclusion after": (
        lambda: ComposedOptimizer(K.AdamW(0.1)).exclude_from_weight_decay(var_names=["bias"]),
        "no_decay_on_bias_and_norm",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_silently_wrong_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        make()


def test_a_rule_is_wrapped_once_and_keeps_no_exclusions():
    rule = K.AdamW(0.1)
    optimizer = ComposedOptimizer(rule)
    with pytest.raises(InputError, match=r"wrapped already. Make another one: AdamW"):
        ComposedOptimizer(rule)
    rule.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(InputError, match="no_decay_on_bias_and_norm"):
        trained(optimizer)


def test_points_ahead_of_theta_are_not_averaged():
    with pytest.raises(InputError, match="which under LookaheadNesterov is the point ahead of theta"):
        ComposedOptimizer(LookaheadNesterov(0.1), averaging=PolyakAveraging())
    model = trained(ComposedOptimizer(LookaheadNesterov(0.1, momentum=0.5), [ClipByGlobalNorm(0.5)]))
    theta = model.optimizer.theta()
    with averaged_weights(model):
        for left, right in zip(model.get_weights(), theta, strict=True):
            assert left.tobytes() == right.tobytes()
    assert any((left != right).any() for left, right in zip(model.get_weights(), theta, strict=True))


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


def test_groups_of_one_name_are_told_apart_by_a_number():
    groups = [ParameterGroup(pattern, l2=0.1, name="same") for pattern in "ab"]
    assert {"same.l2", "same.l2_2"} <= set(ComposedOptimizer(K.SGD(0.1), groups=groups).hyperparameters)


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
    with pytest.raises(InputError, match=r"must have 1[0-9] arrays"):
        other.set_weights([np.zeros(())])
    with pytest.raises(InputError, match="has shape"):
        other.set_weights([np.zeros((2, 2))] * len(other.variables))
