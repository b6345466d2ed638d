"""The update rules that a recipe's `optimizer.rule` knows: Keras's, and those of kerastrain.optimizers.

A hyperparameter of ours may be a schedule, in epochs as the learning rate's.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
from pydantic import PlainValidator

from kerastrain import optimizers
from kerastrain._core.registry import Fraction, NonNegativeFloat, PositiveFloat, Registry, UnitInterval
from kerastrain.experiments.schedule_parts import number_or_schedule

RULES = Registry("optimizer rule")

# What the recipe's other slots decide, so a rule does not take it as well.
_SLOTS = (
    "learning_rate",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "name",
)
_DECAY = {"weight_decay": NonNegativeFloat | None}
_MOMENTS = {"beta_1": Fraction, "beta_2": Fraction, "epsilon": NonNegativeFloat}


def _rule(name: str, optimizer: type, description: str, **annotations: Any) -> None:
    RULES.add(name, optimizer, description, skip=_SLOTS, **{**_DECAY, **annotations})


_rule("sgd", keras.optimizers.SGD, "Gradient descent, with momentum and Nesterov's form.", momentum=UnitInterval)
_rule("adam", keras.optimizers.Adam, "Adam: momentum and per-parameter rates, bias-corrected.", **_MOMENTS)
_rule("adamw", keras.optimizers.AdamW, "Adam with decoupled weight decay.", **_MOMENTS)
_rule("nadam", keras.optimizers.Nadam, "Adam with Nesterov momentum.", **_MOMENTS)
_rule("adamax", keras.optimizers.Adamax, "Adam with the infinity norm.", **_MOMENTS)
_rule(
    "rmsprop",
    keras.optimizers.RMSprop,
    "Per-parameter rates from a moving average of squared gradients.",
    rho=Fraction,
    momentum=UnitInterval,
    epsilon=NonNegativeFloat,
)
_rule(
    "adagrad",
    keras.optimizers.Adagrad,
    "Per-parameter rates from the sum of squared gradients.",
    initial_accumulator_value=NonNegativeFloat,
    epsilon=NonNegativeFloat,
)
_rule(
    "adadelta",
    keras.optimizers.Adadelta,
    "RMSProp without a rate to choose; the paper's learning_rate is 1.0.",
    rho=Fraction,
    epsilon=NonNegativeFloat,
)
_rule("lion", keras.optimizers.Lion, "Sign of an interpolated momentum.", beta_1=Fraction, beta_2=Fraction)
_rule("muon", keras.optimizers.Muon, "Orthogonalized momentum for matrices, AdamW for the rest.", rms_rate=UnitInterval)

_Momentum = Annotated[float | dict[str, Any], PlainValidator(number_or_schedule(minimum=0, maximum=1))]
_Fraction = Annotated[float | dict[str, Any], PlainValidator(number_or_schedule(minimum=0, below=1))]
_Decay = Annotated[float | dict[str, Any] | None, PlainValidator(number_or_schedule(minimum=0, null=True))]

_rule(
    "momentum_sgd",
    optimizers.MomentumSGD,
    "Momentum as an average, as a velocity, or in PyTorch's form; with coupled l2.",
    momentum=_Momentum,
    l2=_Decay,
    weight_decay=_Decay,
)
_rule(
    "lookahead_nesterov",
    optimizers.LookaheadNesterov,
    "Nesterov's momentum, evaluated and saved at the parameters, not at the point ahead of them.",
    momentum=_Momentum,
    l2=_Decay,
    weight_decay=_Decay,
)
_rule(
    "orthogonalized_momentum",
    optimizers.OrthogonalizedMomentum,
    "Muon for kernels, of convolutions too; PyTorch's momentum for the rest.",
    momentum=_Momentum,
    other_momentum=_Momentum,
    exclude=Sequence[str],
    weight_decay=_Decay,
)
_rule(
    "textbook_rmsprop",
    optimizers.TextbookRMSProp,
    "RMSProp with epsilon outside the root: plain, with momentum, or with Nesterov's.",
    rho=_Fraction,
    momentum=_Momentum,
    epsilon=PositiveFloat,
    weight_decay=_Decay,
)
_rule(
    "textbook_adam",
    optimizers.TextbookAdam,
    "Adam with or without bias correction, epsilon inside or outside the root.",
    beta_1=_Fraction,
    beta_2=_Fraction,
    epsilon=PositiveFloat,
    weight_decay=_Decay,
)
