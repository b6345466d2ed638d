"""Small trainings that NumPy can follow, and what the tests of transforms and averages read from them."""

import keras
import numpy as np

from kerastrain.optimizers import ComposedOptimizer

BACKEND = keras.backend.backend()
COMPILED = [False] if BACKEND == "torch" else [False, True]  # torch.compile takes longer than all these tests.


def numbers(*shape, seed=0, scale=1.0):
    """Gaussian float32 numbers."""
    return np.asarray(scale * np.random.default_rng(seed).normal(size=shape), np.float32)


def array(tensor):
    """A copy of a tensor or variable in NumPy."""
    return np.array(keras.ops.convert_to_numpy(tensor))


def tensors(arrays):
    return [keras.ops.convert_to_tensor(one) for one in arrays]


def transformed(transform, gradients, weights=None):
    """What `transform` makes of the first `gradients` of variables that hold `weights`, by default zeros."""
    weights = [np.zeros_like(gradient) for gradient in gradients] if weights is None else weights
    variables = [keras.Variable(weight, dtype=str(weight.dtype)) for weight in weights]
    optimizer = ComposedOptimizer(keras.optimizers.SGD(1.0), gradient_transforms=[transform])
    optimizer.build(variables)
    return [array(gradient) for gradient in transform.transform(tensors(gradients), variables)]


def global_norm(gradients):
    return np.sqrt(sum(np.sum(np.float64(gradient) ** 2) for gradient in gradients))


def regression(batches=6, size=4, scale=1.0):
    """Inputs and targets of `linear_model`, in one piece."""
    return numbers(batches * size, 3, seed=1), numbers(batches * size, 2, seed=2, scale=scale)


def linear_model(**dense):
    """Three inputs, two outputs, one layer; always the same start."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense", **dense)], name="linear")
    model.set_weights([numbers(3, 2, seed=3), numbers(2, seed=4)])
    return model


def linear_gradients(weights, inputs, targets):
    """The gradients of `linear_model`'s mean squared error, float64."""
    kernel, bias = (np.float64(weight) for weight in weights)
    residual = np.float64(inputs) @ kernel + bias - np.float64(targets)
    return [2 * np.float64(inputs).T @ residual / residual.size, 2 * residual.sum(axis=0) / residual.size]


def batches_of(inputs, targets, size=4):
    return [(inputs[at : at + size], targets[at : at + size]) for at in range(0, len(inputs), size)]


def numpy_sgd(weights, data, rate, change=lambda step, gradients, weights: gradients):
    """The weights after each update by SGD, float64; `change` is what is done to the gradients."""
    weights, path = [np.float64(weight) for weight in weights], []
    for step, (inputs, targets) in enumerate(data):
        gradients = change(step, linear_gradients(weights, inputs, targets), weights)
        weights = [weight - rate * gradient for weight, gradient in zip(weights, gradients, strict=True)]
        path.append(weights)
    return path


def trained_by_batches(model, data):
    """The weights after each of the batches."""
    path = []
    for inputs, targets in data:
        model.train_on_batch(inputs, targets)
        path.append([array(weight) for weight in model.trainable_variables])
    return path


def assert_near(found, expected, rtol=1e-5, atol=1e-6):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


def state_bytes(model, without=()):
    """Every weight and optimizer variable, bit for bit, less those whose name ends in one of `without`."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    variables = [*model.weights, *optimizer.variables]
    return {
        f"{place} {variable.name}": array(variable).tobytes()
        for place, variable in enumerate(variables)
        if not variable.name.endswith(tuple(without) or ("nothing",))
    }


class AfterEachBatch(keras.callbacks.Callback):
    """Keeps what `read()` returns after each batch of a fit."""

    def __init__(self, read):
        super().__init__()
        self.read = read
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        if BACKEND == "jax":
            self.model.jax_state_sync()
        self.found.append(self.read())


def pull(weights):
    """A gradient that depends on the weights, so that it matters what an average writes back."""
    return [np.tanh(np.float64(weight)) - 0.25 for weight in weights]


WALK_START = [numbers(3, 2, seed=6), numbers(4, seed=7)]


def noise(step, seed=8):
    generator = np.random.default_rng((seed, step))
    return [generator.normal(size=weight.shape) for weight in WALK_START]


def walk(averaging, steps, rate=0.3, **composed):
    """SGD on `pull` with noise: the weights and the averages after each update."""
    variables = [keras.Variable(weight) for weight in WALK_START]
    optimizer = ComposedOptimizer(keras.optimizers.SGD(rate), averaging=averaging, **composed)
    weights, averages = [], []
    for step in range(steps):
        gradients = pull([array(variable) for variable in variables])
        gradients = [np.float32(one + other) for one, other in zip(gradients, noise(step), strict=True)]
        optimizer.apply(tensors(gradients), variables)
        weights.append([np.float64(array(variable)) for variable in variables])
        averages.append([np.float64(average) for average in optimizer.theta()])
    return weights, averages


def mean(iterates):
    """Of the weights at several times, variable by variable."""
    return [np.mean(np.float64(values), axis=0) for values in zip(*iterates, strict=True)]
