"""A small training that is written down step by step, interrupted and continued, and everything to compare of it."""

import keras
import numpy as np

from kerastrain._core import keras_training
from kerastrain._core.names import unnumbered
from kerastrain._core.training_state import training_variables
from kerastrain.callbacks import ResumableCheckpoint, StatefulCallback
from kerastrain.datasets import Batches

SAMPLES, BATCH, STEPS = 36, 6, 6
_GENERATOR = np.random.default_rng(0)
INPUTS = _GENERATOR.normal(size=(SAMPLES, 3)).astype(np.float32)
# The last column is the sample's number, for `Fingerprint`.
TARGETS = np.concatenate(
    [(INPUTS[:, :2] - INPUTS[:, 1:]), np.arange(1, SAMPLES + 1, dtype=np.float32)[:, None]], axis=1
).astype(np.float32)


class CrashError(Exception):
    """What ends a training from within."""


class PowerCut(StatefulCallback):
    """Raises behind so many steps of this process, 0 for never."""

    def __init__(self, steps, error=OSError):
        super().__init__()
        self.left, self.error = steps, error

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise self.error("power cut")


class Fingerprint(keras.metrics.Metric):
    """Which samples the last batch had, in which order: the sum of number times place, exact in float32."""

    def __init__(self, name="samples"):
        super().__init__(name=name)
        self.value = self.add_weight(shape=(), initializer="zeros", name="value")

    def update_state(self, y_true, y_pred, sample_weight=None):
        numbers = keras.ops.cast(y_true[:, -1], "float32")
        places = keras.ops.arange(1, keras.ops.shape(numbers)[0] + 1, dtype="float32")
        self.value.assign(keras.ops.sum(numbers * places))

    def result(self):
        return keras.ops.convert_to_tensor(self.value)


@keras.saving.register_keras_serializable("tests")
def first_two(y_true, y_pred):
    """The squared error of all columns but the number."""
    return keras.ops.mean(keras.ops.square(y_true[:, :2] - y_pred), axis=-1)


class Steps(keras.callbacks.Callback):
    """Writes down each step and, at a chosen one or at an epoch's end, raises `CrashError` or does what it is told."""

    def __init__(self, data=None, at=None, act=None):
        super().__init__()
        self.data, self.at, self.act = data, at, act
        self.rows = {}

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.first = epoch, (self.data.step if self.data is not None else 0)

    def on_train_batch_end(self, batch, logs=None):
        keras_training.synced(self.model)
        place = (self.epoch, self.first + batch)
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.rows[place] = (float(logs["loss"]).hex(), float(logs["samples"]).hex(), rate.hex())
        self._act(place)

    def on_epoch_end(self, epoch, logs=None):
        self._act((epoch, "end"))

    def _act(self, place):
        if place == self.at:
            if self.act is None:
                raise CrashError(str(place))
            self.act()

    # What it writes down is not part of the training.
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def batches(seed=0, batch_size=BATCH, inputs=INPUTS):
    return Batches(inputs, TARGETS, batch_size, seed=seed)


def network(optimizer=None, units=4, loss=first_two, **compiled):
    """Batch normalization, dropout and noise in front of a head; always the same start."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((3,), name="input"),
        keras.layers.GaussianNoise(0.1, name="noise"),
        keras.layers.Dense(units, activation="tanh", name="trunk"),
        keras.layers.BatchNormalization(momentum=0.5, name="norm"),
        keras.layers.Dropout(0.3, name="dropout"),
        keras.layers.Dense(2, name="head", dtype="float32"),
    ]
    model = keras.Sequential(layers, name="network")
    optimizer = optimizer or keras.optimizers.Adam(0.05, name="adam")
    model.compile(optimizer, loss=loss, metrics=[Fingerprint()], **compiled)
    return model


def fit(model, data, callbacks, epochs=3, **options):
    options = {"validation_data": (INPUTS[:8], TARGETS[:8]), "shuffle": False, "verbose": 0} | options
    return model.fit(data, epochs=epochs, callbacks=callbacks, **options)


class Training:
    """One process's part of a training, and what came of it.

    Args:
        folder: of the checkpoints.
        callbacks: makes the callbacks beside it.
        network: makes the model.
        data: makes what `fit` is given.
        seen: whether the checkpoint is given the data.
        at, act: see `Steps`.
        options: of the checkpoint.
    """

    def __init__(
        self, folder, *, callbacks=list, network=network, data=batches, seen=True, at=None, act=None, **options
    ):
        self.model, self.data, self.others = network(), data(), callbacks()
        self.steps = Steps(self.data if seen else None, at, act)
        self.lines = []
        options = {"announce": self.lines.append} | options
        self.checkpoint = ResumableCheckpoint(folder, self.data if seen else None, **options)

    def run(self, epochs=3, **options):
        self.history = fit(self.model, self.data, [self.checkpoint, *self.others, self.steps], epochs, **options)
        return self

    def crashes(self, epochs=3, **options):
        try:
            self.run(epochs, **options)
        except CrashError:
            return self
        raise AssertionError("it went on to the end")

    def everything(self):
        """Every bit that two trainings must share, by name."""
        variables = {  # Numbered, for seed generators have equal paths.
            f"{index} {unnumbered(variable.path)}": np.array(keras.ops.convert_to_numpy(variable)).tobytes().hex()
            for index, variable in enumerate(training_variables(self.model))
        }
        history = {name: [float(value).hex() for value in row] for name, row in self.history.history.items()}
        return variables | {"history": history, "epochs": self.history.epoch}


def alike(one, other):
    """Both ended the same; where not, the names of what differs."""
    left, right = one.everything(), other.everything()
    assert left.keys() == right.keys()
    assert [name for name in left if left[name] != right[name]] == []
