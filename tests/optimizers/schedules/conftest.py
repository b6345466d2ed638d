import keras
import numpy as np
import pytest


@pytest.fixture
def rates():
    """A function: the schedule at each of the steps, asked for all of them at once."""

    def evaluated(schedule, steps):
        return keras.ops.convert_to_numpy(schedule(np.array(steps))).astype(np.float64)

    return evaluated


@pytest.fixture
def torch_rates():
    """A function: what a scheduler of torch sets before each of the first updates, the rate and the momentum."""
    torch = pytest.importorskip("torch")

    def run(make, steps, learning_rate=1.0):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate, momentum=0.9)
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        found = []
        for step in range(steps):
            found.append([optimizer.param_groups[0][key] for key in ("lr", "momentum")])
            optimizer.step()
            if step < steps - 1:
                scheduler.step()
        return np.array(found, dtype=np.float64).T

    return run


@pytest.fixture
def trained_weight():
    """A function: the weight of a model after a fit with gradient 1 at every step, so minus the sum of the rates."""

    def fit(learning_rate, steps, **compiling):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
        optimizer = keras.optimizers.SGD(learning_rate)
        model.compile(optimizer, loss=lambda y_true, y_pred: keras.ops.mean(y_pred), **compiling)
        model.fit(np.ones((steps, 1)), np.zeros((steps, 1)), batch_size=1, verbose=0)
        return float(model.get_weights()[0][0, 0])

    return fit
