"""A guarded training beside a checkpoint, killed and resumed."""

import contextlib
import json

import keras
import numpy as np
import pytest
from callback_probes import everything
from guard_probes import BAD_GRADIENT, STEPS, Seen, guard, network

from kerastrain import callbacks
from kerastrain._core import checkpoint_files
from kerastrain.callbacks import fit_state
from kerastrain.datasets import Batches
from kerastrain.optimizers import ComposedOptimizer, ExponentialAveraging, RecordGradientNorms


class KilledError(Exception):
    pass


class KillAt(keras.callbacks.Callback):
    """Ends the process, as far as that goes, before a step of the training."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise KilledError

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def spoiled_data():
    """Two of 24 samples are bad: so are two batches of every epoch, or one."""
    x = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    y = x[:, :2] * 0.5
    x[5, 1], y[17, 0] = np.nan, BAD_GRADIENT
    return Batches(x, y, 4, seed=3)


def trained(folder, kills, every_steps, copies, **options):
    """What is left of a training that was killed so many steps after each of its beginnings."""
    for step in [*kills, None]:
        model, data = network(decaying_average), spoiled_data()
        watching = guard(every_steps=copies, path=folder / "events.jsonl", max_rollbacks=20, rate_factor=0.9, **options)
        checkpoint = callbacks.ResumableCheckpoint(folder, data, every_steps=every_steps, announce=lambda line: None)
        seen = Seen()
        everybody = [checkpoint, KillAt(step or 0), watching, seen]
        with contextlib.nullcontext() if step is None else pytest.raises(KilledError), contextlib.closing(checkpoint):
            model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=everybody)
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    # A NaN, of an epoch of which nothing is left, equals nothing.
    return everything(model), watching.events, lines, repr(model.history.history), seen.steps, len(watching.losses)


def decaying_average():
    rate = keras.optimizers.schedules.InverseTimeDecay(0.05, 10, 1.0)
    return ComposedOptimizer(keras.optimizers.Adam(rate), [RecordGradientNorms()], averaging=ExponentialAveraging(0.5))


@pytest.mark.backend
@pytest.mark.parametrize(("every_steps", "copies"), [(1, 2), (4, 100)])
def test_killed_anywhere_it_does_the_same_again(tmp_path, every_steps, copies):
    options = {"copies": copies, "loss_factor": 50.0, "window_steps": 4}
    whole = trained(tmp_path / "whole", [], every_steps, **options)
    assert len(whole[1]) >= 3 and whole[1] == whole[2]
    for kills in ([5], [7], [11], [3, 3, 3]):
        assert trained(tmp_path / str(kills), kills, every_steps, **options) == whole, kills


@pytest.mark.backend
@pytest.mark.parametrize("guard_first", [True, False])
def test_no_checkpoint_holds_anything_bad(tmp_path, guard_first):
    model, data = network(), spoiled_data()
    told = []
    checkpoint = callbacks.ResumableCheckpoint(tmp_path, data, every_steps=1, keep_last=100, announce=told.append)
    both = [checkpoint, guard(max_rollbacks=20, every_steps=1)]
    # Wherever they are in the list, the guard acts first.
    model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=both[::-1] if guard_first else both)
    paths = checkpoint.store.paths()
    assert told == [] and len(paths) == 2 * STEPS + 1
    for path in paths:
        state, _ = checkpoint_files.read(path)
        assert fit_state.not_finite(state) is None
