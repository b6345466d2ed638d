"""What the composed optimizer refuses, since it would be silently wrong."""

import keras
import pytest
from network_problem import DECAY, K, network, trained

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    AdaptiveClip,
    ClipByGlobalNorm,
    ComposedOptimizer,
    LookaheadNesterov,
    MomentumSGD,
    ParameterGroup,
    PolyakAveraging,
    SkipNonFinite,
    TextbookAdam,
    TextbookRMSProp,
    averaged_weights,
)


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


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("groups", [], "Make a new one"),
        ("gradient_transforms", [ClipByGlobalNorm(1.0)], "Make a new one"),
        ("averaging", None, "Make a new one"),
        ("gradient_accumulation_steps", 4, "Make a new one"),
        ("loss_scale_factor", 4.0, "Make a new one"),
        ("use_ema", True, "Make a new one"),
        ("clipnorm", 1.0, "Make a new one"),
        ("weight_decay", 0.5, r"Set hyperparameters\['weight_decay'\]"),
        ("plateau_multiplier", 0.5, r"Set hyperparameters\['plateau_multiplier'\]"),
        ("momentum", 0.5, "What can move: learning_rate, plateau_multiplier, weight_decay"),
        ("lerning_rate", 0.5, "Make a new one"),
    ],
)
def test_an_attribute_that_would_do_nothing_cannot_be_set(built, name, value, remedy):
    optimizer = ComposedOptimizer(K.SGD(0.1, weight_decay=0.0), averaging=PolyakAveraging())
    if built:
        optimizer.build([keras.Variable([1.0], name="a")])
    with pytest.raises(InputError, match=f"`{name}` of a ComposedOptimizer cannot be set.*{remedy}"):
        setattr(optimizer, name, value)


def test_another_schedule_is_refused_once_the_step_is_compiled():
    optimizer = ComposedOptimizer(K.SGD(DECAY))
    optimizer.learning_rate = K.schedules.InverseTimeDecay(0.1, 1, 1.0)
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(0.1)
    optimizer.build([keras.Variable([1.0], name="a")])
    with pytest.raises(InputError, match="Compile with a new optimizer"):
        optimizer.learning_rate = K.schedules.InverseTimeDecay(0.2, 1, 1.0)


@pytest.mark.parametrize("rate", [-0.01, float("nan")])
def test_a_rate_out_of_range_cannot_be_set(rate):
    with pytest.raises(InputError, match="`learning_rate` must be a number >= 0"):
        ComposedOptimizer(K.SGD(0.1)).learning_rate = rate


@pytest.mark.parametrize(
    ("made", "name", "value"),
    [
        (MomentumSGD, "form", "average"),
        (MomentumSGD, "nesterov", True),
        (MomentumSGD, "clipnorm", 1.0),
        (MomentumSGD, "weight_decay", 0.5),
        (TextbookAdam, "epsilon", 0.1),
        (TextbookAdam, "bias_correction", False),
        (TextbookRMSProp, "nesterov", True),
    ],
)
def test_the_structure_of_a_built_rule_cannot_be_set(made, name, value):
    rule = made(0.1)
    rule.build([keras.Variable([1.0], name="a")])
    with pytest.raises(InputError, match=f"`{name}` of {made.__name__} cannot be set.*Make a new optimizer"):
        setattr(rule, name, value)


def test_a_group_says_what_of_it_can_move():
    group = ParameterGroup("a", learning_rate_multiplier=2.0, l2=0.1, name="first")
    with pytest.raises(InputError, match=r"hyperparameters\['first.l2'\]"):
        group.l2 = 0.2
    for name in ("learning_rate_multiplier", "weight_decay", "trainable", "patern"):
        with pytest.raises(InputError, match="Make a new one, and a new optimizer with it"):
            setattr(group, name, 0.0)


def test_each_of_several_layer_types_must_be_there():
    model = network()
    layers = keras.layers
    with pytest.raises(InputError, match="no trainable variables in layers BatchNormalization"):
        ParameterGroup.of_layers(model, [layers.Dense, layers.BatchNormalization], weight_decay=0.0)
    with pytest.raises(InputError, match="Received: none"):
        ParameterGroup.of_layers(model, [], weight_decay=0.0)
