"""A training that was interrupted and continued is the one that was not, to the bit."""

import functools
import tempfile

import keras
import numpy as np
import pytest
from training_probes import STEPS, Fingerprint, Training, alike, batches, first_two, network

from kerastrain.callbacks import EarlyStopping, ReduceOnPlateau, ScheduleHyperparameter, StatefulCallback
from kerastrain.optimizers import ClipByGlobalNorm, ComposedOptimizer, ExponentialAveraging, MomentumSGD


def composed():
    schedule = keras.optimizers.schedules.InverseTimeDecay(0.1, 5, 1.0)
    return network(
        ComposedOptimizer(
            MomentumSGD(schedule, momentum=0.9, nesterov=True, name="rule"),
            gradient_transforms=[ClipByGlobalNorm(0.5)],
            averaging=ExponentialAveraging(0.9),
            gradient_accumulation_steps=4,
            name="composed",
        )
    )


def stopping_callbacks():
    return [
        ReduceOnPlateau("loss", factor=0.5, patience=1, min_delta=100.0),
        EarlyStopping("val_loss", patience=50, restore_best_weights=True),
        ScheduleHyperparameter("momentum", lambda step: 0.9 - 0.01 * step, by="step"),
    ]


def keras_callbacks():
    return [
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0),
        keras.callbacks.EarlyStopping("val_loss", patience=50, restore_best_weights=True),
    ]


NETWORKS = {
    "adam": lambda: network(),
    "accumulation": lambda: network(keras.optimizers.Adam(0.05, gradient_accumulation_steps=4, name="adam")),
    "averages": lambda: network(keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.5, name="sgd")),
    "composed": composed,
}


CALLBACKS = {"none": list, "ours": stopping_callbacks, "keras": keras_callbacks}


@functools.cache
def uninterrupted(make="adam", callbacks="none", epochs=3):
    with tempfile.TemporaryDirectory() as folder:
        return Training(folder, network=NETWORKS[make], callbacks=CALLBACKS[callbacks]).run(epochs)


@pytest.mark.backend
@pytest.mark.parametrize("make", NETWORKS)
def test_two_uninterrupted_trainings_are_the_same(make, tmp_path):
    runs = [uninterrupted(make), Training(tmp_path, network=NETWORKS[make]).run()]
    alike(*runs)
    assert runs[0].steps.rows == runs[1].steps.rows and len(runs[0].steps.rows) == 3 * STEPS


def test_what_is_compared_does_tell_the_order_of_the_samples(tmp_path):
    other = Training(tmp_path, data=lambda: batches(1)).run()
    differing = [name for name, bits in uninterrupted().everything().items() if other.everything()[name] != bits]
    assert any(name.endswith("trunk/kernel") for name in differing) and "history" in differing
    for row, other_row in zip(uninterrupted().steps.rows.values(), other.steps.rows.values(), strict=True):
        assert row[0] != other_row[0] and row[1] != other_row[1]


@pytest.mark.backend
@pytest.mark.parametrize("make", NETWORKS)
def test_from_the_middle_of_an_epoch_to_the_bit(make, tmp_path):
    callbacks = "ours" if make == "composed" else "none"
    whole = uninterrupted(make, callbacks)
    options = {"network": NETWORKS[make], "callbacks": CALLBACKS[callbacks], "every_steps": 1}
    crashed = Training(tmp_path, at=(1, 3), **options).crashes()
    resumed = Training(tmp_path, **options).run()
    # `Steps` raises before the checkpoint, which stands last, has seen the step: three steps of the epoch are saved.
    assert resumed.checkpoint.resumed_from is not None
    assert min(resumed.steps.rows) == (1, 3)
    assert crashed.steps.rows | resumed.steps.rows == whole.steps.rows
    alike(resumed, whole)


@pytest.mark.backend
def test_from_the_end_of_an_epoch_to_the_bit(tmp_path):
    whole = uninterrupted(callbacks="keras")
    crashed = Training(tmp_path, callbacks=keras_callbacks, at=(1, 4)).crashes()
    resumed = Training(tmp_path, callbacks=keras_callbacks).run()
    assert min(resumed.steps.rows) == (1, 0)
    # What is trained again is the same as the first time.
    assert {place: crashed.steps.rows[place] for place in crashed.steps.rows} == {
        place: whole.steps.rows[place] for place in crashed.steps.rows
    }
    assert resumed.steps.rows == {place: row for place, row in whole.steps.rows.items() if place[0] > 0}
    alike(resumed, whole)


@pytest.mark.parametrize("at", [(0, 0), (0, STEPS - 1), (1, 0), pytest.param((2, "end"), marks=pytest.mark.slow)])
def test_from_anywhere(at, tmp_path):
    whole = uninterrupted()
    crashed = Training(tmp_path, at=at, every_steps=1).crashes()
    resumed = Training(tmp_path, every_steps=1).run()
    assert crashed.steps.rows | resumed.steps.rows == whole.steps.rows
    alike(resumed, whole)


def test_again_and_again(tmp_path):
    for place in [(0, 4), (1, 1), (1, 4), (2, 2)]:
        Training(tmp_path, at=place, every_steps=2).crashes()
    alike(Training(tmp_path, every_steps=2).run(), uninterrupted())


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no steps_per_execution on torch")
def test_with_several_steps_an_execution(tmp_path):
    def make():
        return network(steps_per_execution=4)

    whole = Training(tmp_path / "whole", network=make).run()
    Training(tmp_path / "cut", network=make, at=(1, 7), every_steps=1).crashes()
    resumed = Training(tmp_path / "cut", network=make, every_steps=1).run()
    # Steps 0 to 3 of the second epoch were one execution, and its last two are the next. `fit` counts them as four.
    assert min(resumed.steps.rows) == (1, 7)
    alike(resumed, whole)


@pytest.mark.backend
def test_a_finished_training_trains_nothing_and_has_its_result(tmp_path):
    first = Training(tmp_path).run()
    assert first.checkpoint.finished
    again = Training(tmp_path).run()
    assert again.checkpoint.finished and again.steps.rows == {}
    assert any("this training is finished after 3 epochs (loss " in line for line in again.lines)
    alike(again, first)


def test_more_epochs_go_on_as_if_they_had_been_asked_for(tmp_path):
    Training(tmp_path, callbacks=keras_callbacks).run(2)
    resumed = Training(tmp_path, callbacks=keras_callbacks).run(3)
    assert min(resumed.steps.rows) == (2, 0)
    alike(resumed, uninterrupted(callbacks="keras"))


def test_without_data_from_the_beginning_of_the_epoch_and_it_says_so(tmp_path):
    def run(folder, **options):
        return Training(folder, seen=False, data=lambda: Unaware(), **options)

    whole = run(tmp_path / "whole").run()
    run(tmp_path / "cut", at=(1, 4)).crashes()
    resumed = run(tmp_path / "cut").run()
    assert min(resumed.steps.rows) == (1, 0)
    assert any(
        "goes on in epoch 2 of 3. The order of the data is fit's own; give `data`" in line for line in resumed.lines
    )
    alike(resumed, whole)


class Unaware(keras.utils.PyDataset):
    """A pipeline of the user's, the same in each epoch."""

    def __init__(self):
        super().__init__()
        self.batches = batches(0)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


@pytest.mark.backend
def test_under_mixed_precision_with_a_moving_loss_scale(tmp_path):
    if keras.backend.backend() == "torch":
        pytest.skip("float16 on torch's CPU")

    def make():
        keras.config.set_dtype_policy("mixed_float16")
        try:
            model = network(keras.optimizers.Adam(0.05, name="adam"))
        finally:
            keras.config.set_dtype_policy("float32")
        return model

    whole = Training(tmp_path / "whole", network=make).run()
    Training(tmp_path / "cut", network=make, at=(1, 3), every_steps=1).crashes()
    resumed = Training(tmp_path / "cut", network=make, every_steps=1).run()
    assert isinstance(resumed.model.optimizer, keras.optimizers.LossScaleOptimizer)
    alike(resumed, whole)


def test_python_and_numpy_random_numbers_go_on(tmp_path):
    class Draws(StatefulCallback):
        def __init__(self):
            super().__init__()
            self.found = {}

        def on_train_batch_end(self, batch, logs=None):
            self.found[float(logs["samples"]), float(logs["loss"])] = float(np.random.random())

    whole = Training(tmp_path / "whole", callbacks=lambda: [Draws()]).run()
    crashed = Training(tmp_path / "cut", callbacks=lambda: [Draws()], at=(1, 3), every_steps=1).crashes()
    resumed = Training(tmp_path / "cut", callbacks=lambda: [Draws()], every_steps=1).run()
    assert crashed.others[0].found | resumed.others[0].found == whole.others[0].found


class Unseeded(keras.layers.Layer):
    """Draws from Keras's own generator, as a layer does that gives `keras.random` no seed."""

    def call(self, inputs, training=False):
        return inputs + 0.1 * keras.random.normal((3,)) if training else inputs


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="Keras refuses it in a compiled step on JAX")
@pytest.mark.parametrize("at", [(1, 3), (1, 0)])
def test_random_numbers_without_a_seed_go_on(at, tmp_path):
    def make():
        keras.utils.set_random_seed(0)
        layers = [keras.Input((3,), name="input"), Unseeded(name="noise"), keras.layers.Dense(2, name="head")]
        model = keras.Sequential(layers, name="network")
        model.compile(keras.optimizers.SGD(0.1, name="sgd"), first_two, metrics=[Fingerprint()])
        return model

    whole = Training(tmp_path / "whole", network=make).run()
    Training(tmp_path / "cut", network=make, every_steps=1, at=at).crashes()
    alike(Training(tmp_path / "cut", network=make, every_steps=1).run(), whole)
