"""Predictions with dropout on, many times over."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain._core.keras_layers import all_layers

# Layers that do more in training mode than to drop values; `trainable=False` keeps them at inference.
_KEPT_AT_INFERENCE = (keras.layers.BatchNormalization,)

_DRAWS_NOTHING = "The model `{}` has no dropout or other random layer, so all predictions would be equal."


class MonteCarloPrediction(NamedTuple):
    """What `mc_predict` returns.

    mean: of the samples, in the shape of the model's output.
    standard_deviation: of the samples, in the same shape: how unsure the model is of each number.
    """

    mean: np.ndarray
    standard_deviation: np.ndarray


class _InTraining(keras.Model):
    """A model that calls another one in training mode, so that `predict` compiles that."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__(name="in_training")
        self.model = model
        # As the model's own `predict` would run.
        self.run_eagerly = model.run_eagerly
        self.jit_compile = model.jit_compile

    def call(self, inputs: Any) -> Any:
        return self.model(inputs, training=True)


def mc_predict(model: keras.Model, x: Any, samples: int = 20, batch_size: int = 128) -> MonteCarloPrediction:
    """Predict with dropout on, `samples` times, and tell mean and spread: Monte Carlo dropout.

    `mean = 1/T sum_t y_t`, `standard_deviation = sqrt(1/T sum_t (y_t - mean)^2)`, each `y_t` under new masks

    The spread is larger where the network has seen little; the mean is often a little better than the plain
    prediction, at `samples` times its cost. All random layers of the model draw; batch normalization keeps to its
    moving statistics, and no weight or statistic changes (the random generators move on). `model(x, training=True)`
    would normalize by the batch, and change the statistics.

    Args:
        model: a model with random layers, built, and with one output.
        x: what `predict` takes, but no generator, and in the same order each time: it is gone through `samples` times.
        samples: how many times, a whole number >= 2.
        batch_size: samples in a batch, as in `predict`.

    Returns:
        A named tuple `(mean, standard_deviation)` of arrays in the shape of the model's output.

    Raises:
        InputError: the model draws nothing, is not built or has several outputs, `x` is a generator, or a number is
            out of its range.

    Example:

    >>> model = keras.Sequential([keras.Input((1000,)), keras.layers.Dropout(0.5, seed=0)])
    >>> mean, standard_deviation = mc_predict(model, np.ones((1, 1000)), samples=50)
    >>> round(float(mean.mean()), 1), round(float(standard_deviation.mean()), 1)  # each value is 0 or 2
    (1.0, 1.0)

    Reference: Gal and Ghahramani, 2016, Dropout as a Bayesian approximation, arXiv:1506.02142, equations 6 and 7
    (without the observation noise of 7).
    """
    samples = whole_number("samples", samples, minimum=2)
    batch_size = whole_number("batch_size", batch_size)
    _check(model, x)
    with _left_as_it_is(model):
        sampler = _InTraining(model)
        before = _copies(_generators(model))
        mean: Any = None
        squares: Any = 0.0
        for count in range(1, samples + 1):
            drawn = _only(sampler.predict(x, batch_size=batch_size, verbose=0), model)
            mean = drawn if mean is None else mean
            step = drawn - mean
            mean = mean + step / count
            squares = squares + step * (drawn - mean)
            # A generator that no one asks: an LSTM has one without dropout too. On PyTorch an unseeded dropout asks
            # none, and is seen by what it draws.
            if count == 2 and not squares.any() and np.array_equal(before, _copies(_generators(model))):
                raise InputError(_DRAWS_NOTHING.format(model.name))
    return MonteCarloPrediction(mean.astype(np.float32), np.sqrt(squares / samples).astype(np.float32))


def _check(model: Any, x: Any) -> None:
    if not isinstance(model, keras.Model):
        raise InputError(f"`model` must be a keras.Model. Received: {model!r}.")
    if not model.built:
        raise InputError(f"`model` must be built. Call `{model.name}` once, or give it a keras.Input.")
    if not _generators(model):
        raise InputError(_DRAWS_NOTHING.format(model.name))
    _only(getattr(model, "outputs", None) or [None], model)
    if hasattr(x, "__next__"):
        raise InputError(f"`x` must be what can be gone through several times, such as an array. Received: {x!r}.")


def _only(outputs: Any, model: keras.Model) -> Any:
    """The one output among `outputs`, an array as float64."""
    leaves = keras.tree.flatten(outputs)
    if len(leaves) != 1:
        raise InputError(f"`model` must have one output. `{model.name}` has {len(leaves)}.")
    return leaves[0].astype(np.float64) if isinstance(leaves[0], np.ndarray) else leaves[0]


def _generators(model: keras.Model) -> list[keras.Variable]:
    # Of every SeedGenerator, whatever the attribute is called: Keras counts their states as variables, not as weights.
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def _copies(variables: list[keras.Variable]) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: list[keras.Variable], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def _left_as_it_is(model: keras.Model) -> Iterator[None]:
    """Batch normalization is at inference inside; afterwards every weight and flag is what it was before."""
    weights, generators = model.weights, _generators(model)
    values, states = _copies(weights), _copies(generators)
    switched = [layer for layer in all_layers(model) if isinstance(layer, _KEPT_AT_INFERENCE) and layer.trainable]
    flags = [(variable, variable.trainable) for layer in switched for variable in layer.variables]
    try:
        for layer in switched:
            layer.trainable = False
        yield
    except BaseException:
        _assign(generators, states)  # On JAX a `predict` that fails has taken every variable out of the model.
        raise
    finally:
        for layer in switched:
            layer.trainable = True
        for variable, flag in flags:
            variable.trainable = flag
        _assign(weights, values)  # Some layers write to them in training mode: keras.layers.SpectralNormalization.
