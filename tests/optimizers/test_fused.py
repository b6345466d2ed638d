"""Variables that are updated as one: the same steps as NumPy's, the same files, and what stays by itself."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    AdaptiveClip,
    ClipByGlobalNorm,
    ClipByValue,
    ComposedOptimizer,
    ExponentialAveraging,
    LookaheadNesterov,
    MomentumSGD,
    ParameterGroup,
    PolyakAveraging,
    RecordGradientNorms,
    SkipNonFinite,
    TextbookAdam,
    TextbookRMSProp,
    averaged_weights,
)
from tests.optimizers.network_problem import EAGERLY, RULES, arrays

pytestmark = pytest.mark.backend
K = keras.optimizers
# Four that are joined along their first axis, of unlike lengths; the rest as vectors; and one to stay by itself.
SHAPES = {"a": (3, 2), "b": (1, 2), "c": (4, 2), "d": (2, 2), "e": (5,), "f": (2,), "g": (), "h": (2, 2, 2)}
NOT_ELEMENTWISE = {"adafactor", "lamb", "muon", "schedule_free"}
OURS = {
    "momentum_sgd": lambda: MomentumSGD(0.05, form="pytorch", nesterov=True, l2=0.1, weight_decay=0.1),
    "lookahead_nesterov": lambda: LookaheadNesterov(0.05, l2=0.1),
    "textbook_rmsprop": lambda: TextbookRMSProp(0.01, momentum=0.5, nesterov=True),
    "textbook_adam": lambda: TextbookAdam(0.01, weight_decay=0.1),
}


def values(seed=0):
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def variables():
    return [keras.Variable(value, name=name) for name, value in values().items()]


def gradients(step):
    return [keras.ops.convert_to_tensor(value) for value in values(step + 1).values()]


def stepped(optimizer, steps=4, first=0, weights=None):
    weights = variables() if weights is None else weights
    for step in range(first, first + steps):
        optimizer.apply(gradients(step), weights)
    return weights


def nesterov(weight, found, rate=0.05, momentum=0.9):
    velocity = np.zeros_like(weight)
    for gradient in found:
        velocity = momentum * velocity - rate * gradient
        weight = weight + momentum * velocity - rate * gradient
    return weight


def adamw(weight, found, rate=0.01, decay=0.1):
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(found, 1):
        weight = weight - rate * decay * weight
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        root = np.sqrt(second / (1 - 0.999**step)) + 1e-7 / np.sqrt(1 - 0.999**step)
        weight = weight - rate * first / (1 - 0.9**step) / root
    return weight


def rmsprop(weight, found, rate=0.01):
    square = np.zeros_like(weight)
    for gradient in found:
        square = 0.9 * square + 0.1 * gradient**2
        weight = weight - rate * gradient / np.sqrt(square + 1e-7)
    return weight


@pytest.mark.parametrize(
    ("rule", "reference"),
    [
        (lambda: K.SGD(0.05, momentum=0.9, nesterov=True), nesterov),
        (lambda: K.AdamW(0.01, weight_decay=0.1), adamw),
        (lambda: K.RMSprop(0.01), rmsprop),
    ],
)
def test_a_clipped_step_is_that_of_numpy(rule, reference):
    optimizer = ComposedOptimizer(rule(), [ClipByValue(-1.5, 1.5), ClipByGlobalNorm(1.0)], fused=True)
    moved = stepped(optimizer)
    assert optimizer.fused_paths == [["a", "b", "c", "d"], ["e", "f", "g", "h"]]
    clipped = []
    for step in range(4):
        found = {name: np.clip(value.astype(np.float64), -1.5, 1.5) for name, value in values(step + 1).items()}
        norm = np.sqrt(sum((value**2).sum() for value in found.values()))
        clipped.append({name: value / max(norm, 1.0) for name, value in found.items()})
    for (name, value), weight in zip(values().items(), arrays(moved), strict=True):
        expected = reference(value.astype(np.float64), [found[name] for found in clipped])
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", sorted((RULES.keys() - NOT_ELEMENTWISE) | OURS.keys()))
def test_every_elementwise_rule_takes_the_steps_it_takes_by_itself(name):
    # Of these rules the references are in the tests of each; here that nothing of them looks at a variable as a whole.
    moved = []
    for fused in (True, False):
        groups = [ParameterGroup("^[aceg]$", learning_rate_multiplier=0.5, l2=0.1)]
        optimizer = ComposedOptimizer({**RULES, **OURS}[name](), groups=groups, fused=fused)
        moved.append(arrays(stepped(optimizer)))
        assert bool(optimizer.fused_paths) is fused
    for one, other in zip(*moved, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_rules_that_look_at_a_variable_as_a_whole_are_refused_or_left():
    for name in NOT_ELEMENTWISE:
        with pytest.raises(InputError, match=r"`fused=True` joins variables"):
            ComposedOptimizer(RULES[name](), fused=True)
    optimizer = ComposedOptimizer(K.Lamb(0.01))
    stepped(optimizer, 1)
    assert optimizer.fused_paths == []

    class Own(K.Adam):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, gradient / keras.ops.norm(gradient))

    with pytest.raises(InputError, match="elementwise = True"):
        ComposedOptimizer(Own(0.01), fused=True)
    with pytest.raises(InputError, match="Received: fused='yes'"):
        ComposedOptimizer(K.SGD(0.1), fused="yes")


def test_what_stays_by_itself():
    named = variables()
    named[0].constraint = keras.constraints.NonNeg()
    named += [keras.Variable(np.ones((2, 2), np.float32), name="c"), keras.Variable(np.ones(20_000), name="large")]
    groups = [ParameterGroup("^h$", gradient_transforms=[AdaptiveClip(1.0)]), ParameterGroup("^g$", l2=0.1)]
    optimizer = ComposedOptimizer(K.SGD(0.1), groups=groups, fused=True)
    optimizer.build(named)
    assert optimizer.fused_paths == [["b", "d", "e", "f"]]
    few = ComposedOptimizer(K.SGD(0.1))
    few.build(variables()[:2])
    assert few.fused_paths == []


def full(fused, rule=None):
    # JAX compiles each conditional of an eager step anew.
    branches = keras.backend.backend() != "jax"
    return ComposedOptimizer(
        rule or K.Adam(0.01),
        [*([SkipNonFinite()] if branches else []), ClipByGlobalNorm(1.0)],
        [
            ParameterGroup("^(b|e|h)$", learning_rate_multiplier=2.0),
            ParameterGroup("^d$", trainable=not branches, l2=0.1),
        ],
        None if isinstance(rule, LookaheadNesterov) else ExponentialAveraging(0.9),
        gradient_accumulation_steps=2 if branches else None,
        fused=fused,
    )


@pytest.mark.parametrize("rule", [None, lambda: LookaheadNesterov(0.05)], ids=["adam", "lookahead_nesterov"])
def test_state_goes_to_and_from_files_bit_for_bit(rule):
    states = []
    for fused in (True, False):
        optimizer = full(fused, rule and rule())
        weights = stepped(optimizer, 5)
        store, again = {}, {}
        optimizer.save_own_variables(store)
        other = full(not fused, rule and rule())
        other.build(weights)
        other.load_own_variables(store)
        other.save_own_variables(again)
        assert list(store) != [] and store.keys() == again.keys()
        assert all(
            np.asarray(store[key]).tobytes() == np.asarray(again[key]).tobytes() for key in store if key != "about"
        )
        states.append(store)
        # It goes on as the one that was saved does.
        copies = [keras.Variable(value, name=name) for name, value in zip(SHAPES, arrays(weights), strict=True)]
        third = full(not fused, rule and rule())
        third.build(copies)
        third.load_own_variables(store)
        for one, two in zip(
            arrays(stepped(optimizer, 3, 5, weights)), arrays(stepped(third, 3, 5, copies)), strict=True
        ):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert states[0].keys() == states[1].keys(), "the names are those of variables by themselves"


def test_a_model_whose_layers_keras_has_numbered_anew(tmp_path):
    def trained(fused, epochs):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(4) for _ in range(4)]
        model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])
        model.compile(ComposedOptimizer(K.Adam(0.01), fused=fused), loss="mse", **EAGERLY)
        inputs = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
        if epochs:
            model.fit(inputs, inputs[:, :2], epochs=epochs, verbose=0)
        else:
            model.optimizer.build(model.trainable_variables)
        return model

    one, other = trained(True, 1), trained(False, 0)
    assert len(one.optimizer.fused_paths) == 2
    one.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    stores = [{}, {}]
    for model, store in zip((one, other), stores, strict=True):
        model.optimizer.save_own_variables(store)
    left, right = ([np.asarray(store[key]).tobytes() for key in sorted(store) if key != "about"] for store in stores)
    assert left == right


def test_a_variable_without_a_gradient_keeps_every_bit():
    optimizer = ComposedOptimizer(K.Adam(0.01, weight_decay=0.1), averaging=PolyakAveraging(), fused=True)
    weights = stepped(optimizer, 2)
    before, saved = arrays(weights), {}
    optimizer.save_own_variables(saved)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([None if name in "bf" else g for name, g in zip(SHAPES, gradients(2), strict=True)], weights)
    now = {}
    optimizer.save_own_variables(now)
    for name, old, new in zip(SHAPES, before, arrays(weights), strict=True):
        assert np.array_equal(old, new) is (name in "bf")
        for slot in ("momentum", "velocity"):
            assert np.array_equal(saved[f"{name}:{slot}"], now[f"{name}:{slot}"]) is (name in "bf")
    ahead = ComposedOptimizer(LookaheadNesterov(0.1), fused=True)
    stepped(ahead, 1, weights=weights)
    with pytest.raises(InputError, match="The variable 'b' has no gradient"), pytest.warns(UserWarning):
        ahead.apply([None if name == "b" else g for name, g in zip(SHAPES, gradients(0), strict=True)], weights)


def test_accumulation_averages_and_skipped_steps_by_hand():
    # SGD under equal gradients: theta_t = theta_0 - rate t g, whose mean over t = 1..n is theta_0 - rate g (n+1)/2.
    model = keras.Sequential([keras.Input((2,)), *[keras.layers.Dense(2, name=f"layer_{n}") for n in range(4)]])
    optimizer = ComposedOptimizer(
        K.SGD(0.5), [SkipNonFinite()], averaging=PolyakAveraging(), gradient_accumulation_steps=2, fused=True
    )
    model.compile(optimizer, loss="mse")
    weights = model.trainable_variables
    optimizer.build(weights)
    start = arrays(weights)
    one = [keras.ops.ones(variable.shape) for variable in weights]
    for factor in (1.0, 3.0, float("nan"), 2.0, 2.0, 4.0, 0.0):
        optimizer.apply([factor * gradient for gradient in one], weights)
    for variable, value in zip(weights, start, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), value - 0.5 * 3 * 2, rtol=1e-6, atol=1e-6)
    with averaged_weights(model):
        for variable, value in zip(weights, start, strict=True):
            np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), value - 0.5 * 2 * 2, rtol=1e-6, atol=1e-6)
    assert optimizer.gradient_transforms[0].read() == 1


def test_a_switched_off_stack_keeps_every_bit_until_it_is_switched_on():
    frozen = ParameterGroup("^[a-d]$", trainable=False, name="frozen")
    optimizer = ComposedOptimizer(K.SGD(0.1, momentum=0.9, weight_decay=0.1), groups=[frozen], fused=True)
    weights = stepped(optimizer, 1)
    assert optimizer.fused_paths == [["a", "b", "c", "d"], ["e", "f", "g", "h"]]
    moved = [not np.array_equal(now, before) for now, before in zip(arrays(weights), values().values(), strict=True)]
    assert moved == [False] * 4 + [True] * 4
    state = {}
    optimizer.save_own_variables(state)
    assert not state["a:momentum"].any() and state["e:momentum"].any()
    optimizer.hyperparameters["frozen.trainable"] = True
    stepped(optimizer, 1, 1, weights)
    gradient, weight = values(2)["a"], values()["a"]
    expected = weight - 0.1 * 0.1 * weight - 0.1 * gradient
    np.testing.assert_allclose(arrays(weights)[0], expected, rtol=1e-5, atol=1e-7)


def test_a_transform_that_asks_for_each_variable_gets_them():
    norms = RecordGradientNorms()
    optimizer = ComposedOptimizer(K.SGD(1.0), [norms, ClipByGlobalNorm(1.0)], fused=True)
    moved = arrays(stepped(optimizer, 1))
    first = values(1)
    expected = {name: float(np.sqrt((value.astype(np.float64) ** 2).sum())) for name, value in first.items()}
    assert norms.read()["norms"] == pytest.approx(expected, rel=1e-5)
    overall = np.sqrt(sum(norm**2 for norm in expected.values()))
    for (name, value), weight in zip(values().items(), moved, strict=True):
        np.testing.assert_allclose(weight, value - first[name] / overall, rtol=1e-4, atol=1e-6)


def test_it_is_in_the_config():
    for fused in (True, False, None):
        optimizer = ComposedOptimizer(K.SGD(0.1), fused=fused)
        assert ComposedOptimizer.from_config(optimizer.get_config()).fused is fused
    assert "fused=False" in repr(ComposedOptimizer(K.SGD(0.1), fused=False))
