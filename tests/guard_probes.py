"""A training in which something can go bad, and what its tests share."""

import keras
import numpy as np
from callback_probes import everything

from kerastrain import callbacks
from kerastrain.optimizers import ComposedOptimizer, ExponentialAveraging, RecordGradientNorms, SkipNonFinite

BATCH, STEPS = 4, 6
# A label that the loss below answers with NaN, and one that it answers with a NaN gradient alone.
BAD_LOSS, BAD_GRADIENT = 1e3, 2e3


class Listed(keras.utils.PyDataset):
    """The given batches, in their order."""

    def __init__(self, batches):
        super().__init__(workers=1)
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def loss(y, prediction):
    ops = keras.ops
    bad_loss, bad_gradient = (ops.cast(y == mark, prediction.dtype) for mark in (BAD_LOSS, BAD_GRADIENT))
    usual = ops.square(ops.where(y >= BAD_LOSS, ops.zeros_like(y), y) - prediction)
    # The derivative of a root at 0 is infinite, and infinity times 0 is NaN.
    rooted = ops.sqrt(ops.where(bad_gradient > 0, prediction * 0.0, ops.ones_like(prediction))) * bad_gradient
    return ops.mean(ops.where(bad_loss > 0, ops.log(bad_loss - 2.0), usual) + rooted, axis=-1)


def batches(epoch=0, count=STEPS):
    generator = np.random.default_rng(epoch)
    x = generator.normal(size=(count, BATCH, 3)).astype(np.float32)
    return [(one, np.stack([one[:, 0], one.sum(axis=1)], axis=1)) for one in x]


def spoiled(given, index, kind, factor=1.0):
    """The batches, the one at `index` (from 0) with something bad in it."""
    x, y = (np.array(part) for part in given[index])
    if kind == "input":
        x[0, 0] = np.nan
    elif kind == "explosion":
        y *= factor
    else:
        y[0, 0] = {"loss": BAD_LOSS, "gradient": BAD_GRADIENT}[kind]
    return [*given[:index], (x, y), *given[index + 1 :]]


def composed(*transforms):
    return ComposedOptimizer(keras.optimizers.Adam(0.05), list(transforms), averaging=ExponentialAveraging(0.5))


MADE = {}


def network(optimizer=composed, **options):
    """A model at its beginning: one of each kind, compiled one time, since that is what takes the time."""
    key = (optimizer, *options.items())
    if key not in MADE:
        keras.utils.set_random_seed(0)
        parts = [
            keras.Input((3,)),
            keras.layers.Dense(5, activation="tanh", name="trunk"),
            keras.layers.BatchNormalization(momentum=0.5, name="norm"),
            keras.layers.Dropout(0.3, seed=1),
            keras.layers.Dense(2, name="head"),
        ]
        model = keras.Sequential(parts, name="network")
        model.compile(optimizer(), loss=loss, metrics=["mae"], **options)
        model.optimizer.build(model.trainable_variables)
        variables = [*model.variables, *model.optimizer.variables]
        MADE[key] = model, variables, [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    model, variables, values = MADE[key]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(np.array(value))
    model.reset_metrics()
    return model


def recording():
    return composed(RecordGradientNorms())


def skipping():
    return composed(SkipNonFinite(), RecordGradientNorms())


def plain():
    return keras.optimizers.SGD(0.5)


def decaying():
    return ComposedOptimizer(keras.optimizers.SGD(keras.optimizers.schedules.InverseTimeDecay(0.5, 1, 1.0)))


def guard(**options):
    return callbacks.DivergenceGuard(**{"every_steps": 2, "announce": lambda line: None} | options)


def fit(model, epochs, *some, **options):
    """One `fit` an epoch would not do: a guard begins anew with each."""
    if len(epochs) == 1:
        return model.fit(Listed(epochs[0]), shuffle=False, verbose=0, callbacks=list(some), **options)

    class Epochs(Listed):
        def start(self, epoch):
            self.batches = epochs[epoch]

    data = Epochs(epochs[0])
    following = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: data.start(epoch))
    options = {"epochs": len(epochs), "shuffle": False, "verbose": 0} | options
    return model.fit(data, callbacks=[following, *some], **options)


def compared(found, *epochs, optimizer=composed, **options):
    """Whether the state is that after the epochs as they should have been, each a fit of its own; and their logs."""
    model, logs = network(optimizer, **options), []
    for given in epochs:
        history = fit(model, [given]) if len(given) else None
        logs.append({name: values[0] for name, values in history.history.items()} if history else {})
    assert everything(model) == found
    return logs


class Poison(keras.callbacks.Callback):
    """Puts a NaN into a variable at the end of a step, counted from 1."""

    def __init__(self, step, variable):
        super().__init__()
        self.step = step
        self.variable = variable

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.step:
            variable = self.variable(self.model)
            value = np.array(keras.ops.convert_to_numpy(variable))
            value.flat[0] = np.nan
            variable.assign(value)


class Seen(callbacks.StatefulCallback):
    """What other callbacks are told of steps."""

    state_names = ("steps",)

    def on_train_begin(self, logs=None):
        self.steps, self.losses = 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.losses.append(logs.get("loss"))
