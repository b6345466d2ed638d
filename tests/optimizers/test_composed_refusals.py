"""What the composed optimizer refuses, since it would be silently wrong."""

import keras
import pytest
from network_problem import K, trained

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    AdaptiveClip,
    ClipByGlobalNorm,
    ComposedOptimizer,
    LookaheadNesterov,
    PolyakAveraging,
    SkipNonFinite,
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
