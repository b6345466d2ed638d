"""What transforms and averages have in common."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    ClipByNorm,
    ComposedOptimizer,
    ExponentialAveraging,
    GradientTransform,
    Lookahead,
    MomentumSGD,
    ParameterGroup,
    PolyakAveraging,
    StochasticWeightAveraging,
)
from kerastrain.optimizers.schedules import Scaled, Sequence, StepDecay

K = keras.optimizers


def test_what_moves_is_set_through_the_hyperparameters():
    clip = ClipByNorm(1.0)
    with pytest.raises(InputError, match=r"max_norm=-1. Make a new one: ClipByNorm\(...\)"):
        clip.max_norm = -1
    optimizer = ComposedOptimizer(K.SGD(0.1), [clip])
    with pytest.raises(
        InputError, match=r"max_norm=3.0. Set the optimizer's hyperparameters\['clip_by_norm.max_norm'\]"
    ):
        clip.max_norm = 3.0
    assert float(keras.ops.convert_to_numpy(optimizer.hyperparameters["clip_by_norm.max_norm"])) == 1.0


@pytest.mark.parametrize(
    ("averaging", "attribute"),
    [
        (PolyakAveraging(), "start_step"),
        (ExponentialAveraging(), "decay"),
        (StochasticWeightAveraging(0, 1), "every_steps"),
        (Lookahead(), "decay_schedule"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_what_is_part_of_the_compiled_step_cannot_be_set(averaging, attribute):
    ComposedOptimizer(K.SGD(0.1), averaging=averaging)
    before = getattr(averaging, attribute)
    with pytest.raises(InputError, match=f"`{attribute}` of this {type(averaging).__name__}.*make a new optimizer"):
        setattr(averaging, attribute, 0.25)
    assert getattr(averaging, attribute) == before


def test_a_rules_numbers_are_set_through_the_hyperparameters():
    rule = MomentumSGD(0.1, momentum=0.9)
    with pytest.raises(InputError, match=r"`momentum` of MomentumSGD.*Set hyperparameters\['momentum'\]"):
        rule.momentum = 0.5
    rule.learning_rate = 0.2
    assert float(keras.ops.convert_to_numpy(rule.learning_rate)) == pytest.approx(0.2)


class Returns(GradientTransform):
    returned = None

    def transform(self, gradients, variables):
        return type(self).returned(gradients)


@pytest.mark.backend
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda g: g[:1], "must return a list.*2 variables. Received: 1"),
        (lambda g: None, "must return a list.*Received: None"),
        (lambda g: (one for one in g), "must return a list.*generator"),
        (lambda g: [g[0], None], r"must return gradients in the shapes.*Expected for v1: \(2,\). Received: None"),
        (lambda g: [g[0], keras.ops.sum(g[1])], r"Expected for v1: \(2,\). Received: shape \(\)"),
        (lambda g: [g[0][:1], g[1]], r"Expected for v0: \(2,\). Received: shape \(1,\)"),
    ],
    ids=["too few", "nothing", "a generator", "a None", "a scalar", "another shape"],
)
@pytest.mark.parametrize("of_a_group", [False, True], ids=["optimizer", "group"])
def test_a_transform_that_spoils_gradients_is_named(monkeypatch, returned, message, of_a_group):
    monkeypatch.setattr(Returns, "returned", staticmethod(returned))
    groups = [ParameterGroup("v", gradient_transforms=[Returns()])] if of_a_group else []
    optimizer = ComposedOptimizer(K.SGD(0.1), [] if of_a_group else [Returns()], groups)
    variables = [keras.Variable(np.ones(2), name=f"v{index}") for index in range(2)]
    with pytest.raises(InputError, match=f"`transform` of Returns .*{message}"):
        optimizer.apply([keras.ops.ones(2)] * 2, variables)


def test_a_part_that_would_lose_its_argument_when_saved_is_refused():
    class Scale(GradientTransform):
        def __init__(self, factor=1.0):
            super().__init__()
            self.factor = factor

    with pytest.raises(InputError, match="`get_config` of Scale must return factor"):
        ComposedOptimizer(K.SGD(0.1), [Scale(0.5)])
    with pytest.raises(InputError, match="`get_config` of Scale must return factor"):
        ParameterGroup("a", gradient_transforms=[Scale(0.5)])


def test_a_part_that_does_not_call_its_base_is_refused():
    class Forgetful(GradientTransform):
        def __init__(self):
            pass

    with pytest.raises(InputError, match=r"`__init__` of Forgetful must call `super\(\).__init__\(\)`"):
        ComposedOptimizer(K.SGD(0.1), [Forgetful()])


def test_they_are_shown_as_they_are_made():
    schedule = StepDecay(0.1, 0.5, 10)
    shown = "StepDecay(initial_learning_rate=0.1, factor=0.5, step_size=10)"
    assert repr(schedule) == shown
    assert repr(Lookahead(5, schedule)) == f"Lookahead(every_steps=5, decay_schedule={shown})"
    assert repr(Sequence([(schedule, 20), 0.01])) == f"Sequence(schedules=[({shown}, 20), 0.01])"
    assert repr(Scaled(schedule, 2.0, name="twice")) == f"Scaled(schedule={shown}, factor=2.0, name='twice')"
    optimizer = ComposedOptimizer(
        K.SGD(0.1), [ClipByNorm(1.0)], [ParameterGroup("bias", l2=0.1)], gradient_accumulation_steps=2
    )
    assert repr(optimizer) == (
        "ComposedOptimizer(SGD(...), gradient_transforms=[ClipByNorm(max_norm=1.0)], "
        "groups=[ParameterGroup('bias', l2=0.1)], gradient_accumulation_steps=2)"
    )
    assert repr(ComposedOptimizer(MomentumSGD(0.1))) == "ComposedOptimizer(MomentumSGD(...))"
    for made in (repr(schedule), repr(ClipByNorm(0.5))):
        assert repr(eval(made)) == made  # noqa: S307
