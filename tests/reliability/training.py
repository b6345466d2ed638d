"""A small training with all that a resume can forget, written down step by step; what a child process runs."""

import hashlib
import json
import os
import pathlib
import time

import keras
import numpy as np
from faulty_os import FaultyOs, in_place
from training_probes import Fingerprint

from kerastrain._core import keras_training
from kerastrain._core.training_state import training_variables
from kerastrain.callbacks import EarlyStopping, ReduceOnPlateau, ResumableCheckpoint, ScheduleHyperparameter
from kerastrain.datasets import Batches
from kerastrain.layers import SmallImageConv2D, StochasticDepth
from kerastrain.optimizers import (
    AddGradientNoise,
    ClipByGlobalNorm,
    ComposedOptimizer,
    ExponentialAveraging,
    MomentumSGD,
    OrthogonalizedMomentum,
    ParameterGroup,
)

SAMPLES, BATCH, CLASSES, EPOCHS = 44, 8, 3, 4
STEPS = 6

# What is on, by the name of a combination.
FEATURES = {
    "plain": {},
    "regularized": {"augmentation": True, "noise": True},
    "optimizer": {"composed": True, "callbacks": True},
    "execution": {"augmentation": True, "noise": True, "execution": 2},
    "convolutions": {"winograd": True, "orthogonal": True},
    "everything": {
        "augmentation": True,
        "noise": True,
        "winograd": True,
        "composed": True,
        "callbacks": True,
        "execution": 2,
    },
}


def run(folder, features="everything", fault=None, slow=0.0, **options):
    """Train in `folder`, from where it stands to the end.

    Args:
        folder: of the run: `checkpoints/`, `steps.jsonl` and at the end `final.json`.
        features: a key of FEATURES.
        fault: arguments of FaultyOs; None for a file system without faults.
        slow: seconds to sleep in each step.
        options: of ResumableCheckpoint.
    """
    folder = pathlib.Path(folder)
    on = FEATURES[features]
    shim = FaultyOs(**(fault or {}))
    with in_place(shim):
        data, validation = datasets(on.get("augmentation", False))
        model = network(on)
        others = callbacks(folder) if on.get("callbacks") else []
        options = {"every_steps": 1, "identity": {"seed": 0}} | options
        checkpoint = ResumableCheckpoint(folder, data, **options)
        steps = WriteSteps(folder / "steps.jsonl", data, slow)
        history = model.fit(
            data,
            epochs=EPOCHS,
            validation_data=validation,
            shuffle=False,
            verbose=0,
            callbacks=[steps, *others, checkpoint],
        )
    final = {
        "variables": digests(model),
        "history": {name: [float(value).hex() for value in row] for name, row in history.history.items()},
        "epochs": history.epoch,
        "callbacks": [_plain(one.state_dict()) for one in others if hasattr(one, "state_dict")],
        "csv": (folder / "log.csv").read_text() if others else None,
    }
    temporary = folder / ".final"
    temporary.write_text(json.dumps({"final": final, "operations": len(shim.events), "starts": shim.starts}))
    os.replace(temporary, folder / "final.json")


def datasets(augmented):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (SAMPLES + 8, 6, 6, 3), dtype=np.uint8)
    # Class and number of the sample, the latter for `Fingerprint`.
    targets = np.stack([images[:, 0, 0, 0] % CLASSES, np.arange(len(images)) + 1], axis=1).astype(np.float32)
    options = {"crop": 1, "flip": "random"} if augmented else {}
    batches = Batches(images[:SAMPLES], targets[:SAMPLES], BATCH, seed=0, **options)
    return batches, (images[SAMPLES:], targets[SAMPLES:])


@keras.saving.register_keras_serializable("tests")
def first_column(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true[:, 0], y_pred, from_logits=True)


def network(on):
    keras.utils.set_random_seed(0)
    noise = on.get("noise", False)
    inputs = keras.Input((6, 6, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -1, name="scale")(inputs)
    x = SmallImageConv2D(4, 3, winograd=on.get("winograd", False), padding="same", activation="tanh", name="stem")(x)
    branch = keras.layers.BatchNormalization(momentum=0.5, name="norm")(x)
    if noise:
        branch = keras.layers.GaussianNoise(0.1, name="noise")(branch)
        branch = StochasticDepth(0.3, name="depth")(branch)
    x = keras.layers.Add(name="add")([x, branch])
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    if noise:
        x = keras.layers.Dropout(0.3, name="dropout")(x)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, name="head")(x), name="network")
    optimizer = keras.optimizers.Adam(0.02, name="adam")
    if on.get("composed"):
        optimizer = composed()
    elif on.get("orthogonal"):
        optimizer = OrthogonalizedMomentum(0.02, name="orthogonalized")
    execution = 1 if keras.backend.backend() == "torch" else on.get("execution", 1)  # Which has no other.
    model.compile(optimizer, loss=first_column, metrics=[Fingerprint()], steps_per_execution=execution)
    return model


def composed():
    schedule = keras.optimizers.schedules.CosineDecay(0.0, 20, warmup_target=0.2, warmup_steps=3, name="cosine")
    return ComposedOptimizer(
        MomentumSGD(schedule, momentum=0.9, nesterov=True, weight_decay=1e-3, name="rule"),
        gradient_transforms=[ClipByGlobalNorm(0.5), AddGradientNoise(0.01, seed=3)],
        groups=[ParameterGroup(r"(bias|gamma|beta)$", weight_decay=0.0)],
        averaging=ExponentialAveraging(0.9),
        gradient_accumulation_steps=4,
        name="composed",
    )


def callbacks(folder):
    return [
        ReduceOnPlateau("loss", factor=0.5, patience=1, min_delta=100.0),
        EarlyStopping("val_loss", patience=50, restore_best_weights=True),
        ScheduleHyperparameter("momentum", lambda step: 0.9 - 0.01 * step, by="step"),
        keras.callbacks.EarlyStopping("loss", patience=50),
        keras.callbacks.CSVLogger(folder / "log.csv"),
    ]


class WriteSteps(keras.callbacks.Callback):
    """One line a step: its place, the bits of the epoch's loss so far, of the rate, and which samples it had."""

    def __init__(self, path, data, slow):
        super().__init__()
        self.path, self.data, self.slow = path, data, slow

    def on_train_begin(self, logs=None):
        self._write({"process": os.getpid()})

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.first = epoch, None

    def on_train_batch_end(self, batch, logs=None):
        if self.first is None:
            self.first = self.data.step
        keras_training.synced(self.model)
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        values = {"loss": float(logs["loss"]).hex(), "samples": float(logs["samples"]).hex(), "rate": rate.hex()}
        self._write({"place": [self.epoch, self.first + batch], **values})
        time.sleep(self.slow)

    def _write(self, line):
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, (json.dumps(line) + "\n").encode())
        os.close(handle)

    # What it writes down is not part of the training.
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def digests(model):
    """A sha256 of each variable of model and optimizer."""
    values = [np.array(keras.ops.convert_to_numpy(variable)) for variable in training_variables(model)]
    return [f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}" for value in values]


def _plain(value):
    if isinstance(value, np.ndarray):
        return hashlib.sha256(value.tobytes()).hexdigest()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, float) else value
