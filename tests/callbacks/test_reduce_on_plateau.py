import math

import keras
import numpy as np
import pytest
from callback_probes import driven, fake_model, network
from optimizer_probes import array, regression

from kerastrain._core.errors import InputError
from kerastrain.callbacks import ReduceOnPlateau
from kerastrain.optimizers import ComposedOptimizer, MomentumSGD

SCHEDULE = keras.optimizers.schedules.InverseTimeDecay(0.5, 1, 1.0)


class Rates(keras.callbacks.Callback):
    """Keeps the rate at the end of each epoch, once the callback under test has had its turn."""

    def __init__(self, callback, optimizer):
        super().__init__()
        self.callback, self.optimizer = callback, optimizer
        self.found = []

    def set_model(self, model):
        self.callback.set_model(model)

    def on_train_begin(self, logs=None):
        self.callback.on_train_begin()

    def load_state_dict(self, state):
        self.callback.load_state_dict(state)

    def on_epoch_end(self, epoch, logs=None):
        self.callback.on_epoch_end(epoch, logs)
        self.found.append(float(array(self.optimizer.learning_rate)))


def rates(callback, optimizer, values, name="score", **options):
    watched = Rates(callback, optimizer)
    driven(watched, [{name: value} for value in values], fake_model(optimizer=optimizer), **options)
    return watched.found


def walk(seed, length=60):
    return (np.random.default_rng(seed).integers(-32, 33, length) / 64).tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 0, "min_delta": 0.0},
        {"patience": 1, "min_delta": 0.125, "cooldown": 2},
        {"patience": 3, "min_delta": 0.0, "cooldown": 1, "least": 0.05},
        {"patience": 5, "min_delta": 0.0625, "least": 0.3},
    ],
)
def test_on_a_number_it_is_kerass(seed, mode, options):
    least = options.get("least", 0.0)
    options = {"factor": 0.5, "mode": mode, **{name: value for name, value in options.items() if name != "least"}}
    theirs = keras.callbacks.ReduceLROnPlateau("score", min_lr=0.1 * least, **options)
    expected = rates(theirs, keras.optimizers.SGD(0.1), walk(seed))
    assert len(set(expected)) > 1
    for optimizer in (keras.optimizers.SGD(0.1), ComposedOptimizer(keras.optimizers.SGD(0.1)), MomentumSGD(0.1)):
        ours = ReduceOnPlateau("score", min_multiplier=least, **options)
        np.testing.assert_allclose(rates(ours, optimizer, walk(seed)), expected, rtol=1e-6)


def test_nan_never_is_the_best():
    optimizer = ComposedOptimizer(keras.optimizers.SGD(1.0))
    found = rates(ReduceOnPlateau("score", 0.5, 2, mode="min"), optimizer, [math.nan, 3.0, 2.0, math.nan, -math.inf])
    assert found == [1.0, 1.0, 1.0, 1.0, 0.5]
    # Keras's takes the NaN for its best value, and reduces while there is improvement.
    theirs = keras.callbacks.ReduceLROnPlateau("score", 0.5, 2, mode="min")
    assert rates(theirs, keras.optimizers.SGD(1.0), [math.nan, 3.0, 2.0, 1.0])[-1] < 1.0


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_it_multiplies_a_schedule_within_a_fit(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = network(ComposedOptimizer(keras.optimizers.SGD(SCHEDULE)))
    finally:
        keras.config.set_dtype_policy("float32")
    inputs, targets = regression(batches=2)
    # No value is better by 1000 than the one before, so the multiplier halves after the second epoch and the third.
    plateau = ReduceOnPlateau("loss", 0.5, patience=1, min_delta=1e3, min_multiplier=0.25)
    options = {"batch_size": 4, "epochs": 5, "callbacks": [plateau], "verbose": 0}
    found = model.fit(inputs, targets, **options).history["learning_rate"]
    expected = [0.5 / (1 + 2 * epoch) * multiplier for epoch, multiplier in enumerate([1, 1, 0.5, 0.25, 0.25], 1)]
    if policy == "float32":  # In half precision the first steps may overflow, and are not counted.
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    assert float(array(optimizer.plateau_multiplier)) == 0.25
    assert (hasattr(model.optimizer, "inner_optimizer")) == (policy == "mixed_float16")


@pytest.mark.backend
def test_the_rate_of_a_plain_optimizer_under_loss_scaling():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network(keras.optimizers.SGD(0.1))
    finally:
        keras.config.set_dtype_policy("float32")
    plateau = ReduceOnPlateau("loss", 0.5, patience=1, min_delta=1e3)
    model.fit(*regression(batches=2), epochs=3, callbacks=[plateau], verbose=0)
    np.testing.assert_allclose(array(model.optimizer.inner_optimizer.learning_rate), 0.025, rtol=1e-6)


@pytest.mark.backend
def test_the_weights_follow_the_multiplied_rate():
    # Full batches, and the multiplier 0.5 after two epochs: by hand the same as a schedule with that jump in it.
    data = regression(batches=1)
    options = {"epochs": 4, "shuffle": False, "verbose": 0}
    model = network(ComposedOptimizer(keras.optimizers.SGD(0.25)))
    model.fit(*data, callbacks=[ReduceOnPlateau("loss", 0.5, patience=1, min_delta=1e3)], **options)
    jumps = keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.25, 0.125, 0.0625])
    expected = network(ComposedOptimizer(keras.optimizers.SGD(jumps)))
    expected.fit(*data, **options)
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [lambda: keras.optimizers.SGD(1.0), lambda: ComposedOptimizer(MomentumSGD(1.0))])
@pytest.mark.parametrize("cut", [1, 4, 7, 12])
def test_a_resumed_one_goes_on(cut, make):
    values = [math.nan, 5.0, 4.0, 4.5, 4.0, 4.0, 3.9999, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.0, 2.0]
    options = {"factor": 0.5, "patience": 2, "cooldown": 1, "min_multiplier": 0.3, "mode": "min"}
    whole = rates(ReduceOnPlateau("score", **options), make(), values)
    optimizer, before = make(), ReduceOnPlateau("score", **options)
    found = rates(before, optimizer, values[:cut])
    found += rates(ReduceOnPlateau("score", **options), optimizer, values[cut:], first=cut, state=before.state_dict())
    assert found == whole and whole[-1] == np.float32(0.3)


def test_it_says_so(capsys):
    rates(ReduceOnPlateau("score", 0.5, 1, verbose=1, mode="min"), keras.optimizers.SGD(0.5), [1.0, 1.0])
    assert capsys.readouterr().out == "Epoch 2: no improvement of score, the learning rate goes on at 0.25.\n"


def begin(optimizer):
    plateau = ReduceOnPlateau()
    plateau.set_model(fake_model(optimizer=optimizer))
    plateau.on_train_begin()


def test_a_plain_optimizer_with_a_schedule_is_refused_before_the_first_step():
    with pytest.raises(InputError, match=r"SGD follows InverseTimeDecay.*Compile with ComposedOptimizer\(SGD"):
        begin(keras.optimizers.SGD(SCHEDULE))
    with pytest.raises(InputError, match="Adam follows function"):
        begin(keras.optimizers.Adam(lambda: 0.1))


def test_a_multi_optimizer_is_refused():
    with pytest.raises(InputError, match=r"no one learning rate. Use one ComposedOptimizer with `groups`"):
        begin(fake_model(optimizers=[]))


INVALID = {
    "`monitor` must be a name": {"monitor": ["loss"]},
    r"`factor` must be a number > 0 and < 1": {"factor": 1.0},
    "`patience` must be a whole number >= 0": {"patience": None},
    "`verbose` must be True or False": {"verbose": "yes"},
    "`mode` must be one of": {"mode": "least"},
    "`min_delta` must be a number >= 0": {"min_delta": math.nan},
    "`cooldown` must be a whole number >= 0": {"cooldown": -1},
    "`min_multiplier` must be a number >= 0 and < 1": {"min_multiplier": 1.0},
}


@pytest.mark.parametrize("message", INVALID)
def test_arguments_out_of_range(message):
    with pytest.raises(InputError, match=message):
        ReduceOnPlateau(**INVALID[message])
