"""Keras's own activations, initializers, normalizations, dropouts and regularizers under their recipe names.

Importing this module fills the registries of `kerastrain.topologies.components`. The targets are Keras's classes, and
each argument keeps Keras's name and default, with two exceptions: a single penalty of a regularizer is called `rate`
everywhere, and `group` has 8 groups, since Keras's 32 divide few widths of networks for 32x32 images.
"""

import functools
from typing import Literal

import keras

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


def l1(rate: NonNegativeFloat = 0.01) -> keras.regularizers.Regularizer:
    """`rate * sum(abs(w))`."""
    return keras.regularizers.L1(rate)


def l2(rate: NonNegativeFloat = 0.01) -> keras.regularizers.Regularizer:
    """`rate * sum(w ** 2)`."""
    return keras.regularizers.L2(rate)


def _activations() -> None:
    layers = keras.layers
    ACTIVATIONS.add(
        "relu",
        layers.ReLU,
        "max(0, x); optionally leaky below and capped above",
        only={
            "max_value": (PositiveFloat | None, None),
            "negative_slope": (NonNegativeFloat, 0.0),
            "threshold": (NonNegativeFloat, 0.0),
        },
    )
    ACTIVATIONS.add("elu", layers.ELU, "x, or alpha * (exp(x) - 1) below 0", only={"alpha": (PositiveFloat, 1.0)})
    ACTIVATIONS.add(
        "leaky_relu",
        layers.LeakyReLU,
        "x, or negative_slope * x below 0",
        only={"negative_slope": (NonNegativeFloat, 0.3)},
    )
    ACTIVATIONS.add("prelu", prelu, "leaky ReLU with a learned slope per channel", skip=GIVEN)
    for name, description in {
        "celu": "continuously differentiable ELU",
        "exponential": "exp(x)",
        "gelu": "x * Phi(x), Phi the normal distribution function",
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
        ACTIVATIONS.add(name, functools.partial(layers.Activation, name), description, only={})


def _initializers() -> None:
    initializers = keras.initializers
    for name, target, description in (
        ("glorot_normal", initializers.GlorotNormal, "variance 2 / (fan_in + fan_out), normal"),
        ("glorot_uniform", initializers.GlorotUniform, "variance 2 / (fan_in + fan_out), uniform: Keras's default"),
        ("he_normal", initializers.HeNormal, "variance 2 / fan_in, normal: for ReLU"),
        ("he_uniform", initializers.HeUniform, "variance 2 / fan_in, uniform: for ReLU"),
        ("lecun_normal", initializers.LecunNormal, "variance 1 / fan_in, normal: for SELU"),
        ("lecun_uniform", initializers.LecunUniform, "variance 1 / fan_in, uniform"),
        ("zeros", initializers.Zeros, "all 0: shows why symmetry must be broken"),
        ("ones", initializers.Ones, "all 1"),
    ):
        INITIALIZERS.add(name, target, description, only={})
    normal = {"mean": (FiniteFloat, 0.0), "stddev": (PositiveFloat, 0.05)}
    INITIALIZERS.add("random_normal", initializers.RandomNormal, "normal with a fixed deviation", only=normal)
    INITIALIZERS.add(
        "truncated_normal", initializers.TruncatedNormal, "normal, redrawn beyond two deviations", only=normal
    )
    INITIALIZERS.add(
        "random_uniform",
        initializers.RandomUniform,
        "uniform over a fixed range",
        only={"minval": (FiniteFloat, -0.05), "maxval": (FiniteFloat, 0.05)},
    )
    INITIALIZERS.add(
        "variance_scaling",
        initializers.VarianceScaling,
        "variance scale / fan, of which Glorot, He and LeCun are cases",
        only={
            "scale": (PositiveFloat, 1.0),
            "mode": (Literal["fan_in", "fan_out", "fan_avg"], "fan_in"),
            "distribution": (Literal["truncated_normal", "untruncated_normal", "uniform"], "truncated_normal"),
        },
    )
    INITIALIZERS.add(
        "orthogonal",
        initializers.Orthogonal,
        "orthonormal rows or columns times gain",
        only={"gain": (PositiveFloat, 1.0)},
    )
    INITIALIZERS.add("constant", initializers.Constant, "all equal to value", only={"value": (FiniteFloat, 0.0)})


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
    DROPOUTS.add("alpha", keras.layers.AlphaDropout, "keeps mean and variance under SELU", only=rate)


def _regularizers() -> None:
    REGULARIZERS.add("l1", l1, "rate * sum(abs(w))")
    REGULARIZERS.add("l2", l2, "rate * sum(w ** 2)")
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
