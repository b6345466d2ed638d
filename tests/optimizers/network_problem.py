"""A small network to train, rules to train it with, and what is compared of it."""

import keras
import numpy as np

K = keras.optimizers
# For what is no question of the compiled step: TensorFlow takes the same steps eagerly, and makes no graph first.
EAGERLY = {"run_eagerly": True} if keras.backend.backend() == "tensorflow" else {}
DECAY = K.schedules.ExponentialDecay(0.05, 3, 0.8)
RULES = {
    "sgd": lambda: K.SGD(0.05),
    "momentum": lambda: K.SGD(DECAY, momentum=0.9),
    "nesterov": lambda: K.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda: K.Adam(DECAY, amsgrad=True),
    "adamw": lambda: K.AdamW(0.01, weight_decay=0.1),
    "adamax": lambda: K.Adamax(0.01),
    "nadam": lambda: K.Nadam(0.01),
    "rmsprop": lambda: K.RMSprop(DECAY, momentum=0.5, centered=True),
    "adagrad": lambda: K.Adagrad(0.1),
    "adadelta": lambda: K.Adadelta(1.0),
    "adafactor": lambda: K.Adafactor(0.01),
    "ftrl": lambda: K.Ftrl(0.05),
    "lamb": lambda: K.Lamb(0.01),
    "lion": lambda: K.Lion(0.003, weight_decay=0.1),
    "muon": lambda: K.Muon(0.01, weight_decay=0.1),
    "schedule_free": lambda: K.ScheduleFreeAdamW(0.01),
}


def network(seed=0, **head):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="tanh", name="trunk"),
            keras.layers.Dense(2, name="head", **head),
        ],
        name="network",
    )


def data(samples=32):
    inputs = np.random.default_rng(0).normal(size=(samples, 4)).astype(np.float32)
    return inputs, inputs[:, :2] - inputs[:, 2:]


def trained(optimizer, epochs=2, callbacks=(), jit="auto", batch_size=8, model=None, **options):
    model = model or network()
    model.compile(optimizer, loss="mse", jit_compile=jit, **options)
    model.fit(*data(), batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks))
    return model


def assert_same(one, other, **tolerance):
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        if tolerance:
            np.testing.assert_allclose(left, right, **tolerance)
        else:
            assert left.tobytes() == right.tobytes()


def arrays(variables):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def applied(optimizer, gradients, values, steps=1):
    """The values of variables called a, b, ... after `steps` equal gradients."""
    variables = [keras.Variable(np.float32(value), name=name) for name, value in values.items()]
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(np.float32(gradients[name])) for name in values], variables)
    return dict(zip(values, arrays(variables), strict=True))
