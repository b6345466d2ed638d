"""Activations, initializers, normalizations, dropouts and regularizers under their recipe names.

Importing this module fills the registries of `kerastrain.topologies.components`. The targets are Keras's classes where
Keras has them, so that a saved model needs nothing but Keras, and else those of `kerastrain.layers` and
`kerastrain.initializers`. Each argument keeps its name and default, with two exceptions: a single penalty of a
regularizer is called `rate` everywhere, and `group` has 8 groups, since Keras's 32 divide few widths of networks for
32x32 images.
"""

import functools
from typing import Annotated, Literal

import keras
from annotated_types import Ge

from kerastrain import initializers, layers, regularizers
from kerastrain._core.registry import (
    FiniteFloat,
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
)
from kerastrain.topologies.components import (
    ACTIVATIONS,
    DROPOUTS,
    GIVEN,
    INITIALIZERS,
    NORMALIZATIONS,
    REGULARIZERS,
)


def prelu(initial_slope: NonNegativeFloat = 0.25, shared_axes: list[int] | None = None, *, name: str) -> keras.Layer:
    """PReLU whose learned slope, one per channel, starts at `initial_slope` (He et al., 2015, arXiv 1502.01852)."""
    start = keras.initializers.Constant(initial_slope)
    return keras.layers.PReLU(alpha_initializer=start, shared_axes=shared_axes, name=name)


def gelu(approximate: Literal["none", "tanh", "sigmoid"] = "none", *, name: str) -> keras.Layer:
    """The GELU: Keras's where it is exact, ours for the approximations."""
    return keras.layers.Activation("gelu", name=name) if approximate == "none" else layers.GELU(approximate, name=name)


def dirac(gain: FiniteFloat = 1.0, *, seed: int | None = None) -> keras.initializers.Initializer:
    """The identity; further filters, and the head, uniform within +-1 / sqrt(fan_in), which is PyTorch's default."""
    return initializers.Dirac(gain, keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed))


def l1_textbook(strength: NonNegativeFloat, samples: PositiveInt) -> keras.regularizers.Regularizer:
    """`strength / (2 samples) * sum(abs(w))`."""
    return keras.regularizers.L1(regularizers.penalty_factor(strength, samples))


def l2_textbook(strength: NonNegativeFloat, samples: PositiveInt) -> keras.regularizers.Regularizer:
    """`strength / (2 samples) * sum(w ** 2)`."""
    return keras.regularizers.L2(regularizers.penalty_factor(strength, samples))


def l1(rate: NonNegativeFloat = 0.01) -> keras.regularizers.Regularizer:
    """`rate * sum(abs(w))`."""
    return keras.regularizers.L1(rate)


def l2(rate: NonNegativeFloat = 0.01) -> keras.regularizers.Regularizer:
    """`rate * sum(w ** 2)`."""
    return keras.regularizers.L2(rate)


def _activations() -> None:
    ACTIVATIONS.add(
        "relu",
        keras.layers.ReLU,
        "max(0, x); optionally leaky below and capped above",
        only={
            "max_value": (PositiveFloat | None, None),
            "negative_slope": (NonNegativeFloat, 0.0),
            "threshold": (NonNegativeFloat, 0.0),
        },
    )
    ACTIVATIONS.add("elu", keras.layers.ELU, "x, or alpha * (exp(x) - 1) below 0", only={"alpha": (PositiveFloat, 1.0)})
    ACTIVATIONS.add(
        "leaky_relu",
        keras.layers.LeakyReLU,
        "x, or negative_slope * x below 0",
        only={"negative_slope": (NonNegativeFloat, 0.3)},
    )
    ACTIVATIONS.add("prelu", prelu, "leaky ReLU with a learned slope per channel", skip=GIVEN)
    ACTIVATIONS.add("gelu", gelu, "x * Phi(x), Phi the normal distribution function, or an approximation", skip=GIVEN)
    ACTIVATIONS.add(
        "fused_gelu",
        layers.GELU,
        "the exact GELU in one pass over memory; the model's file then needs kerastrain",
        only={},
    )
    ACTIVATIONS.add("stochastic_gelu", layers.StochasticGELU, "x with probability Phi(x), else 0, in training", only={})
    ACTIVATIONS.add(
        "maxout",
        layers.Maxout,
        "the maximum of `pieces` features; the layer in front has that many times its width",
        only={"pieces": (Annotated[int, Ge(2)], 2)},
    )
    for name, description in {
        "celu": "continuously differentiable ELU",
        "exponential": "exp(x)",
        "hard_sigmoid": "clip(x / 6 + 0.5, 0, 1)",
        "hard_silu": "x * hard_sigmoid(x)",
        "hard_tanh": "clip(x, -1, 1)",
        "log_sigmoid": "log(1 / (1 + exp(-x)))",
        "mish": "x * tanh(softplus(x))",
        "relu6": "min(max(0, x), 6)",
        "selu": "scaled ELU that keeps mean 0 and variance 1 (with lecun_normal and alpha dropout)",
        "sigmoid": "1 / (1 + exp(-x))",
        "silu": "x * sigmoid(x), also called swish",
        "softplus": "log(1 + exp(x))",
        "softsign": "x / (1 + abs(x))",
        "tanh": "hyperbolic tangent",
        "tanh_shrink": "x - tanh(x)",
    }.items():
        ACTIVATIONS.add(name, functools.partial(keras.layers.Activation, name), description, only={})


def _initializers() -> None:
    kerass = keras.initializers
    for name, target, description in (
        ("glorot_normal", kerass.GlorotNormal, "variance 2 / (fan_in + fan_out), normal"),
        ("glorot_uniform", kerass.GlorotUniform, "variance 2 / (fan_in + fan_out), uniform: Keras's default"),
        ("he_normal", kerass.HeNormal, "variance 2 / fan_in, normal: for ReLU"),
        ("he_uniform", kerass.HeUniform, "variance 2 / fan_in, uniform: for ReLU"),
        ("lecun_normal", kerass.LecunNormal, "variance 1 / fan_in, normal: for SELU"),
        ("lecun_uniform", kerass.LecunUniform, "variance 1 / fan_in, uniform"),
        ("zeros", kerass.Zeros, "all 0: shows why symmetry must be broken"),
        ("ones", kerass.Ones, "all 1"),
    ):
        INITIALIZERS.add(name, target, description, only={})
    normal = {"mean": (FiniteFloat, 0.0), "stddev": (PositiveFloat, 0.05)}
    INITIALIZERS.add("random_normal", kerass.RandomNormal, "normal with a fixed deviation", only=normal)
    INITIALIZERS.add("truncated_normal", kerass.TruncatedNormal, "normal, redrawn beyond two deviations", only=normal)
    INITIALIZERS.add(
        "random_uniform",
        kerass.RandomUniform,
        "uniform over a fixed range",
        only={"minval": (FiniteFloat, -0.05), "maxval": (FiniteFloat, 0.05)},
    )
    INITIALIZERS.add(
        "variance_scaling",
        kerass.VarianceScaling,
        "variance scale / fan, of which Glorot, He and LeCun are cases",
        only={
            "scale": (PositiveFloat, 1.0),
            "mode": (Literal["fan_in", "fan_out", "fan_avg"], "fan_in"),
            "distribution": (Literal["truncated_normal", "untruncated_normal", "uniform"], "truncated_normal"),
        },
    )
    INITIALIZERS.add(
        "orthogonal",
        kerass.Orthogonal,
        "orthonormal rows or columns times gain",
        only={"gain": (PositiveFloat, 1.0)},
    )
    INITIALIZERS.add("fan_in_normal", initializers.FanInNormal, "normal with deviation 1 / fan_in", only={})
    INITIALIZERS.add(
        "dirac", dirac, "convolutions start as the identity; the head uniform", only={"gain": (FiniteFloat, 1.0)}
    )
    INITIALIZERS.add(
        "lsuv",
        initializers.LSUV,
        "orthogonal, then each layer scaled to variance 1 on a batch of training images",
        only={"tolerance": (PositiveFloat, 0.01), "max_iterations": (PositiveInt, 10)},
    )
    INITIALIZERS.add("constant", kerass.Constant, "all equal to value", only={"value": (FiniteFloat, 0.0)})


def _normalizations() -> None:
    affine = {"epsilon": (PositiveFloat, 1e-3), "center": (bool, True), "scale": (bool, True)}
    NORMALIZATIONS.add(
        "batch",
        keras.layers.BatchNormalization,
        "mean and variance of each channel over the batch",
        only={
            "momentum": (Fraction, 0.99),
            **affine,
            "renorm": (bool, False),
            "renorm_momentum": (Fraction, 0.99),
            "synchronized": (bool, False),
        },
    )
    NORMALIZATIONS.add(
        "fused_batch",
        layers.FusedBatchNormalization,
        "the same by TensorFlow's fused kernel, in bfloat16 too; the model's file then needs kerastrain",
        only={"momentum": (Fraction, 0.99), **affine},
    )
    own = {"momentum": (Fraction, 0.99), **affine}
    NORMALIZATIONS.add(
        "textbook_batch",
        layers.TextbookBatchNormalization,
        "batch normalization that divides by deviation + epsilon",
        only=own,
    )
    NORMALIZATIONS.add(
        "ghost_batch",
        layers.GhostBatchNormalization,
        "batch normalization over parts of the batch",
        only={"virtual_batch_size": (PositiveInt, 32), **own},
    )
    NORMALIZATIONS.add(
        "layer", keras.layers.LayerNormalization, "mean and variance over the features of one position", only=affine
    )
    NORMALIZATIONS.add(
        "group",
        keras.layers.GroupNormalization,
        "mean and variance over one sample's groups of channels; groups must divide every width",
        only={"groups": (PositiveInt, 8), **affine},
    )
    NORMALIZATIONS.add(
        "unit", keras.layers.UnitNormalization, "features of one position divided by their L2 norm", only={}
    )


def _dropouts() -> None:
    rate = {"rate": (Fraction, ...)}
    DROPOUTS.add("dropout", keras.layers.Dropout, "zeroes single values, scales the rest by 1 / (1 - rate)", only=rate)
    DROPOUTS.add("spatial", keras.layers.SpatialDropout2D, "zeroes whole feature maps", only=rate)
    DROPOUTS.add(
        "gaussian", keras.layers.GaussianDropout, "times normal noise of mean 1, variance rate / (1 - rate)", only=rate
    )
    DROPOUTS.add("textbook", layers.TextbookDropout, "zeroes single values, scales by 1 - rate at inference", only=rate)
    DROPOUTS.add("variable_rate", layers.VariableRateDropout, "with a rate that callbacks can move", only=rate)
    DROPOUTS.add(
        "drop_block",
        layers.DropBlock2D,
        "zeroes squares of feature maps",
        only={**rate, "block_size": (PositiveInt, 3), "per_channel": (bool, True)},
    )
    DROPOUTS.add(
        "drop_connect", layers.DropConnect, "zeroes single weights of every hidden layer, not values", only=rate
    )
    DROPOUTS.add("alpha", keras.layers.AlphaDropout, "keeps mean and variance under SELU", only=rate)


def _regularizers() -> None:
    REGULARIZERS.add("l1", l1, "rate * sum(abs(w))")
    REGULARIZERS.add("l2", l2, "rate * sum(w ** 2)")
    REGULARIZERS.add("l1_textbook", l1_textbook, "strength / (2 samples) * sum(abs(w))")
    REGULARIZERS.add("l2_textbook", l2_textbook, "strength / (2 samples) * sum(w ** 2)")
    REGULARIZERS.add(
        "l1_l2",
        keras.regularizers.L1L2,
        "l1 * sum(abs(w)) + l2 * sum(w ** 2)",
        only={"l1": (NonNegativeFloat, 0.01), "l2": (NonNegativeFloat, 0.01)},
    )
    REGULARIZERS.add(
        "orthogonal",
        keras.regularizers.OrthogonalRegularizer,
        "pulls the rows or columns of dense kernels towards orthogonality",
        only={"factor": (NonNegativeFloat, 0.01), "mode": (Literal["rows", "columns"], "rows")},
    )


_activations()
_initializers()
_normalizations()
_dropouts()
_regularizers()
