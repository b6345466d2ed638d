"""One optimizer for each public part of `kerastrain.optimizers`, made afresh on each call."""

import keras

from kerastrain import optimizers
from kerastrain.optimizers import schedules


def with_transform(transform):
    return optimizers.ComposedOptimizer(keras.optimizers.AdamW(0.01, weight_decay=0.1), [transform])


def with_averaging(averaging):
    return optimizers.ComposedOptimizer(keras.optimizers.SGD(0.05, momentum=0.9), averaging=averaging)


def with_rate(schedule):
    return keras.optimizers.SGD(schedule, momentum=0.5)


def everything():
    return optimizers.ComposedOptimizer(
        keras.optimizers.AdamW(schedules.Warmup(0.01, 3), weight_decay=0.1),
        gradient_transforms=[
            optimizers.SkipNonFinite(),
            optimizers.RecordGradientNorms(),
            optimizers.ClipByGlobalNorm(1.0),
        ],
        groups=[
            optimizers.no_decay_on_bias_and_norm(),
            optimizers.ParameterGroup("head/", learning_rate_multiplier=3.0, l2=0.01),
            optimizers.ParameterGroup(
                "trunk/", trainable=False, gradient_transforms=[optimizers.CentralizeGradients()]
            ),
        ],
        averaging=optimizers.PolyakAveraging(1),
        gradient_accumulation_steps=2,
        fused=True,
    )


MAKE = {
    "optimizers.AdaptiveClip": lambda: with_transform(optimizers.AdaptiveClip(0.1)),
    "optimizers.AddGradientNoise": lambda: with_transform(optimizers.AddGradientNoise(0.1, seed=3)),
    "optimizers.CentralizeGradients": lambda: with_transform(optimizers.CentralizeGradients()),
    "optimizers.ClipByGlobalNorm": lambda: with_transform(optimizers.ClipByGlobalNorm(0.5)),
    "optimizers.ClipByNorm": lambda: with_transform(optimizers.ClipByNorm(0.5)),
    "optimizers.ClipByValue": lambda: with_transform(optimizers.ClipByValue(-0.1, 0.2)),
    "optimizers.ComposedOptimizer": everything,
    "optimizers.ExponentialAveraging": lambda: with_averaging(optimizers.ExponentialAveraging(0.9, every_steps=2)),
    "optimizers.Lookahead": lambda: with_averaging(optimizers.Lookahead(2, schedules.StepDecay(0.5, 0.5, 4))),
    "optimizers.LookaheadNesterov": lambda: optimizers.LookaheadNesterov(0.05, weight_decay=0.1),
    "optimizers.MomentumSGD": lambda: optimizers.MomentumSGD(0.05, form="pytorch", nesterov=True, l2=0.01),
    "optimizers.NormalizeGradients": lambda: with_transform(optimizers.NormalizeGradients("variable")),
    "optimizers.OrthogonalizedMomentum": lambda: optimizers.OrthogonalizedMomentum(0.02, exclude=["head"]),
    "optimizers.ParameterGroup": lambda: optimizers.ComposedOptimizer(
        optimizers.MomentumSGD(0.05, weight_decay=0.1),
        groups=[optimizers.ParameterGroup("bias", weight_decay=0.0, learning_rate_multiplier=2.0)],
    ),
    "optimizers.PolyakAveraging": lambda: with_averaging(optimizers.PolyakAveraging(1, power=2)),
    "optimizers.RecordGradientNorms": lambda: with_transform(optimizers.RecordGradientNorms()),
    "optimizers.SkipNonFinite": lambda: with_transform(optimizers.SkipNonFinite()),
    "optimizers.StochasticWeightAveraging": lambda: with_averaging(optimizers.StochasticWeightAveraging(1, 2)),
    "optimizers.TextbookAdam": lambda: optimizers.TextbookAdam(0.01, epsilon_inside_root=True),
    "optimizers.TextbookRMSProp": lambda: optimizers.TextbookRMSProp(0.01, momentum=0.5, nesterov=True),
    "optimizers.schedules.Cyclical": lambda: with_rate(schedules.Cyclical(0.01, 0.1, 2)),
    "optimizers.schedules.OneCycle": lambda: with_rate(schedules.OneCycle(0.1, 10)),
    "optimizers.schedules.PerEpoch": lambda: with_rate(schedules.PerEpoch(schedules.StepDecay(0.1, 0.5, 1), 2)),
    "optimizers.schedules.Scaled": lambda: with_rate(schedules.Scaled(schedules.StepDecay(0.1, 0.5, 1), 0.5)),
    "optimizers.schedules.Sequence": lambda: with_rate(
        schedules.Sequence([(0.1, 2), schedules.StepDecay(0.1, 0.5, 1)])
    ),
    "optimizers.schedules.StepDecay": lambda: with_rate(schedules.StepDecay(0.1, 0.5, 2)),
    "optimizers.schedules.Triangle": lambda: with_rate(schedules.Triangle(0.1, 10, 0.2, 1.0, 0.1, 0.3)),
    "optimizers.schedules.Warmup": lambda: with_rate(schedules.Warmup(0.1, 3, "cosine")),
}
