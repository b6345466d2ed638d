"""A small problem that is not quadratic, with variables of several shapes, and walks on it: ours and NumPy's."""

import keras
import numpy as np
import pytest

STEPS = 50

_GENERATOR = np.random.default_rng(7)
_INPUTS = _GENERATOR.normal(size=(20, 3))
_TARGETS = np.tanh(_GENERATOR.normal(size=(20, 4)))
START = [
    _GENERATOR.normal(size=(3, 4)).astype(np.float32),
    np.zeros(4, np.float32),
    _GENERATOR.normal(size=(2, 1, 2)).astype(np.float32),
]

# Gradients that no path decides. Rules that divide by the gradient's size turn a rounding error in a gradient near 0
# into a different path; given the same gradients, they can be compared to the last digits. Sizes go from 1e-3 to 10.
GIVEN = [
    [
        (_GENERATOR.normal(0.3, 1.0, value.shape) * 10.0 ** np.linspace(-3, 1, value.size).reshape(value.shape)).astype(
            np.float32
        )
        for value in START
    ]
    for _ in range(STEPS)
]


def gradients(values):
    """The gradient of `mean ||tanh(X W + b) - Y||^2 / 2 + sum(u^4 / 4 - u^2 / 2 + 0.3 u)` at `[W, b, u]`."""
    matrix, bias, loose = values
    outputs = np.tanh(_INPUTS @ matrix + bias)
    inner = (outputs - _TARGETS) * (1 - outputs**2) / len(_INPUTS)
    return [_INPUTS.T @ inner, inner.sum(axis=0), loose**3 - loose + 0.3]


def moving_rate():
    """A schedule of the learning rate, and the same in NumPy."""
    return keras.optimizers.schedules.InverseTimeDecay(0.1, 5, 0.5), lambda step: 0.1 / (1 + 0.5 * step / 5)


def moving_momentum():
    """A schedule of the momentum, and the same in NumPy."""
    return keras.optimizers.schedules.PolynomialDecay(0.95, 50, 0.5), lambda step: 0.95 - 0.45 * step / 50


def numpy_values(variables):
    """Copies of variables as float64."""
    return [np.array(keras.ops.convert_to_numpy(variable), np.float64) for variable in variables]


def follow(optimizer, steps=STEPS, before=None, after=None, given=None):
    """The variables after each update by an optimizer, by the problem's gradients or by the `given` ones.

    `before(step)` runs before an update, `after(step)` after it.
    """
    variables = [keras.Variable(value) for value in START]
    path = []
    for step in range(steps):
        if before is not None:
            before(step)
        found = given[step] if given else gradients(numpy_values(variables))
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32)) for gradient in found], variables)
        path.append(numpy_values(variables))
        if after is not None:
            after(step)
    return path


def numpy_walk(move, steps=STEPS, weight_decay=0.0, rate=None, given=None):
    """The path of a rule in float64: `move(step, index, value, gradient)` returns the new value of one variable."""
    values = [value.astype(np.float64) for value in START]
    path = []
    for step in range(steps):
        found = [np.float64(gradient) for gradient in given[step]] if given else gradients(values)
        decay = rate(step) * weight_decay if weight_decay else 0.0
        values = [
            move(step, index, value - decay * value, gradient)
            for index, (value, gradient) in enumerate(zip(values, found, strict=True))
        ]
        path.append([value.copy() for value in values])
    return path


def torch_walk(name, rate, given=None, **arguments):
    """The path of an optimizer of PyTorch; skips the test where there is none."""
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(value, requires_grad=True) for value in START]
    optimizer = getattr(torch.optim, name)(tensors, lr=1.0, **arguments)
    path = []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = rate(step)
        found = given[step] if given else gradients([tensor.detach().numpy().astype(np.float64) for tensor in tensors])
        for tensor, gradient in zip(tensors, found, strict=True):
            tensor.grad = torch.tensor(gradient.astype(np.float32))
        optimizer.step()
        path.append([tensor.detach().numpy().astype(np.float64) for tensor in tensors])
    return path


def optax_walk(rule, given=None):
    """The path of an optax transformation."""
    optax = pytest.importorskip("optax")
    values, path = list(START), []
    state = rule.init(values)
    for step in range(STEPS):
        found = given[step] if given else gradients([np.float64(value) for value in values])
        moves, state = rule.update([gradient.astype(np.float32) for gradient in found], state, values)
        values = optax.apply_updates(values, moves)
        path.append([np.array(value, np.float64) for value in values])
    return path


def assert_same_path(found, expected, rtol=5e-6, atol=2e-6):
    assert len(found) == len(expected)
    for step, (ones, others) in enumerate(zip(found, expected, strict=True)):
        for one, other in zip(ones, others, strict=True):
            np.testing.assert_allclose(one, other, rtol=rtol, atol=atol, err_msg=f"after update {step + 1}")


def distance(one, other):
    """The largest difference between the ends of two paths."""
    return max(np.abs(a - b).max() for a, b in zip(one[-1], other[-1], strict=True))
