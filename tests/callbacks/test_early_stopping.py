import math

import keras
import numpy as np
import pytest
from callback_probes import AtEpochEnd, driven, everything, fake_model, network
from optimizer_probes import array, regression

from kerastrain._core.errors import InputError
from kerastrain.callbacks import EarlyStopping
from kerastrain.optimizers import ComposedOptimizer, ExponentialAveraging, LookaheadNesterov, PolyakAveraging

NAN, INF = math.nan, math.inf


def losses(*values, name="val_loss"):
    return [{name: value} for value in values]


def walk(seed, length=30):
    """A random sequence of multiples of 1/64, which float32 and float64 hold exactly."""
    return (np.random.default_rng(seed).integers(-32, 33, length) / 64).tolist()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "min_delta", "start"), [(0, 0.0, 0), (1, 0.125, 0), (3, 0.0, 2), (6, 0.0625, 4)])
def test_without_a_baseline_it_is_kerass(seed, mode, patience, min_delta, start):
    epochs = losses(*walk(seed), name="score")
    options = {"min_delta": min_delta, "patience": patience, "mode": mode, "start_from_epoch": start}
    theirs, ours = keras.callbacks.EarlyStopping("score", **options), EarlyStopping("score", **options)
    assert driven(ours, epochs) == driven(theirs, epochs)
    assert (ours.best, ours.best_epoch, ours.stopped_epoch) == (theirs.best, theirs.best_epoch, theirs.stopped_epoch)
    assert ours.reason is not None and ours.reason.startswith("no improvement")


def simulated(series, patience, min_delta=0.0, baseline=INF):
    """By the definition, for a minimized value: the epochs at which it has been out of patience."""
    best, last, out = INF, -1, []
    for epoch, value in enumerate(series):
        if math.isfinite(value) and value < best - (min_delta if math.isfinite(best) else 0.0):
            best = value
            last = epoch if value < baseline - min_delta else last
        if epoch - last >= max(1, patience):
            out.append(epoch)
    return out


@pytest.mark.parametrize("seed", range(10))
def test_a_baseline_stops_also_while_there_is_improvement(seed):
    series = [1.0 - 0.01 * epoch + 0.3 * value for epoch, value in enumerate(walk(seed, 60))]
    for patience, baseline in [(2, 0.5), (20, 0.7), (5, 2.0)]:
        ours = EarlyStopping(patience=patience, baseline=baseline)
        stops = [*simulated(series, patience, baseline=baseline), len(series) - 1]
        assert driven(ours, losses(*series)) == stops[0] + 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("stop_when", ["all", "any"])
def test_several_monitors(seed, stop_when):
    one, other = walk(seed, 60), walk(seed + 100, 60)
    one[3] = NAN
    options = {"mode": ["min", "max"], "min_delta": [0.0, 0.125], "patience": 3}
    ours = EarlyStopping(["one", "two"], stop_when=stop_when, **options)
    seen = driven(ours, [{"one": a, "two": b} for a, b in zip(one, other, strict=True)])
    first, second = simulated(one, 3), simulated([-value for value in other], 3, 0.125)
    expected = set(first) & set(second) if stop_when == "all" else set(first) | set(second)
    assert seen == min(expected) + 1
    assert ours.best_epoch == int(np.nanargmin(one[:seen]))
    assert ours.bests[0] == np.nanmin(one[:seen])


def test_nan_and_infinity_are_never_the_best():
    ours = EarlyStopping(patience=3)
    assert driven(ours, losses(NAN, 2.0, -INF, NAN, 1.0, 3.0, 3.0, INF, 0.0)) == 8
    assert (ours.best, ours.best_epoch) == (1.0, 4)
    # Keras's takes the NaN of the first epoch for the best, and nothing beats it.
    theirs = keras.callbacks.EarlyStopping(patience=3)
    assert driven(theirs, losses(NAN, 2.0, 1.0, 0.5, 0.25)) == 4 and math.isnan(theirs.best)
    upwards = EarlyStopping("score", mode="max", patience=2)
    assert driven(upwards, losses(1.0, INF, 2.0, INF, NAN, name="score")) == 5 and upwards.best == 2.0


def test_only_values_that_are_not_finite():
    ours = EarlyStopping(patience=2, restore_best_weights=True)
    assert driven(ours, losses(NAN, NAN, NAN)) == 2
    assert ours.best is None and ours.restored is None
    assert "no epoch had a finite val_loss" in ours.description


def test_generalization_loss():
    # GL: 0, 0, 100 (0.84 / 0.8 - 1) = 5, 100 (0.85 / 0.8 - 1) = 6.25, 0, 20
    series = losses(1.0, 0.8, 0.84, 0.85, 0.7, 0.84)
    assert driven(EarlyStopping(patience=None, generalization_loss=4.9), series) == 3
    assert driven(EarlyStopping(patience=None, generalization_loss=6.0), series) == 4
    stopping = EarlyStopping(patience=None, generalization_loss=19.0)
    assert driven(stopping, series) == 6
    assert stopping.reason == "val_loss is 20 % above its minimum"
    assert driven(EarlyStopping(patience=None, generalization_loss=21.0), series) == 6  # to the end
    # An epoch that is not finite says nothing, and is not the minimum either.
    assert driven(EarlyStopping(patience=None, generalization_loss=4.0), losses(1.0, NAN, INF, 1.03, 1.05)) == 5
    assert driven(EarlyStopping(patience=None, generalization_loss=4.0), losses(0.0, 0.0, 1e-9)) == 3


def test_the_quotient_of_progress():
    # Strips of 2: P = 1000 (0.9 / 0.8 - 1) = 125, then 1000 (0.775 / 0.75 - 1) = 33.33, then 1000 (0.745 / 0.74 - 1)
    # = 6.757; GL at their ends 0, 5, 10: PQ = 0, 0.15, 1.48.
    train, validation = [1.0, 0.8, 0.8, 0.75, 0.75, 0.74], [1.2, 1.0, 1.5, 1.05, 2.0, 1.1]
    epochs = [{"loss": a, "val_loss": b} for a, b in zip(train, validation, strict=True)]
    for alpha, seen in [(0.14, 4), (0.16, 6), (1.47, 6)]:
        stopping = EarlyStopping(patience=None, progress_quotient=alpha, strip_epochs=2)
        assert driven(stopping, epochs) == seen and stopping.reason is not None
    assert stopping.reason == "the generalization loss of val_loss is 1.48 times the training progress"
    stopping = EarlyStopping(patience=None, progress_quotient=1.49, strip_epochs=2)
    assert driven(stopping, epochs) == 6 and stopping.reason is None
    # Nothing moves in training, and something is lost.
    flat = [{"loss": 1.0, "val_loss": value} for value in (1.0, 1.0, 1.0, 1.1)]
    assert driven(EarlyStopping(patience=None, progress_quotient=99.0, strip_epochs=2), flat) == 4


def test_the_quotients_training_error():
    epochs = [{"loss": 1.0, "val_averaged_loss": value} for value in (1.0, 1.1)]
    assert driven(EarlyStopping("val_averaged_loss", progress_quotient=1.0, strip_epochs=2, patience=None), epochs) == 2
    with pytest.raises(InputError, match="compares 'val_mine' with 'mine', which is not logged"):
        driven(EarlyStopping("val_mine", mode="min", progress_quotient=1.0), losses(1.0, name="val_mine"))


def test_a_budget_of_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("kerastrain.callbacks.early_stopping.time.monotonic", lambda: now[0])
    stopping, model = EarlyStopping(patience=None, max_seconds=10.0), fake_model()
    stopping.set_model(model)
    stopping.on_train_begin()
    stopping.on_train_batch_end(0)
    now[0] = 106.0
    stopping.on_epoch_end(0, {"val_loss": 1.0})
    state = stopping.state_dict()
    assert not model.stop_training and state["seconds"] == 6.0

    now[0] = 1000.0
    resumed = EarlyStopping(patience=None, max_seconds=10.0)
    resumed.set_model(model)
    resumed.on_train_begin()
    resumed.load_state_dict(state)
    now[0] = 1003.9
    resumed.on_train_batch_end(0)
    assert not model.stop_training
    now[0] = 1004.0
    resumed.on_train_batch_end(1)
    assert model.stop_training
    resumed.on_epoch_end(1, {"val_loss": 2.0})
    assert resumed.stopped_epoch == 1 and resumed.reason == "10 seconds have passed"


@pytest.mark.backend
def test_time_stops_within_an_epoch():
    inputs, targets = regression(batches=4)
    model, seen = network(keras.optimizers.SGD(0.1)), []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    stopping = EarlyStopping("loss", patience=None, max_seconds=1e-9)
    history = model.fit(inputs, targets, batch_size=4, epochs=3, callbacks=[stopping, count], verbose=0)
    assert seen == [0] and history.epoch == [0] and stopping.reason == "1e-09 seconds have passed"


OPTIMIZERS = {
    "plain": lambda: keras.optimizers.Adam(0.1),
    "polyak": lambda: ComposedOptimizer(keras.optimizers.Adam(0.1), averaging=PolyakAveraging()),
    "exponential": lambda: ComposedOptimizer(
        keras.optimizers.SGD(keras.optimizers.schedules.InverseTimeDecay(0.3, 5, 1.0), momentum=0.9),
        averaging=ExponentialAveraging(0.5),
        gradient_accumulation_steps=2,
    ),
    "lookahead": lambda: LookaheadNesterov(0.1),
}


def train(model, *callbacks, **options):
    inputs, targets = regression(batches=3)
    options = {"batch_size": 4, "epochs": 9, "shuffle": False, "verbose": 0, **options}
    return model.fit(inputs, targets, validation_data=(inputs, targets), callbacks=list(callbacks), **options)


class LogThis(keras.callbacks.Callback):
    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_mine"] = self.values[epoch]


VALUES = [5.0, NAN, 3.0, 4.0, 3.5, 3.25, 1.0]


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_whole_training_is_restored_to_the_bit(name, policy, capsys):
    keras.config.set_dtype_policy(policy)
    try:
        model = network(OPTIMIZERS[name](), dropout=0.3)
    finally:
        keras.config.set_dtype_policy("float32")
    recorder = AtEpochEnd(everything)
    stopping = EarlyStopping("val_mine", patience=3, mode="min", restore_best_weights=True, verbose=1)
    history = train(model, LogThis(VALUES), stopping, recorder)
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert everything(model) == recorder.found[2]
    assert everything(model) != recorder.found[5]
    assert (stopping.best_epoch, stopping.restored, stopping.stopped_epoch) == (2, 2, 5)
    expected = (
        "The model holds the weights of epoch 3, the best (val_mine 3), and its optimizer the state of then. "
        "Training stopped after epoch 6: no improvement for 3 epochs."
    )
    assert stopping.description == expected and capsys.readouterr().out.splitlines() == [expected]
    if (name, policy) == ("polyak", "float32"):  # Training goes on from there as if it had ended there.
        fresh = network(OPTIMIZERS[name](), dropout=0.3)
        train(fresh, epochs=3)
        train(fresh, epochs=1)
        train(model, epochs=1)
        assert everything(model) == everything(fresh)


@pytest.mark.backend
def test_under_kerass_moving_average_the_model_holds_that_of_the_best_epoch():
    model = network(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))

    def averages(model):
        return [array(v) for v in model.optimizer.variables if v.path.endswith("average")]

    recorder = AtEpochEnd(averages)
    stopping = EarlyStopping("val_mine", patience=3, mode="min", restore_best_weights=True)
    train(model, LogThis(VALUES), stopping, recorder)
    assert len(recorder.found[2]) == len(model.trainable_variables)
    for variable, average in zip(model.trainable_variables, recorder.found[2], strict=True):
        np.testing.assert_array_equal(array(variable), average)
    train(model, epochs=1)


def test_without_restoring_the_last_weights_stay():
    model, recorder = network(keras.optimizers.SGD(0.1)), AtEpochEnd(everything)
    stopping = EarlyStopping("val_mine", patience=3, mode="min")
    train(model, LogThis(VALUES), stopping, recorder)
    assert everything(model) == recorder.found[5] and stopping.restored is None
    assert stopping.description == (
        "The model holds the weights of epoch 6, the last; the best val_mine, 3, was that of epoch 3. "
        "Training stopped after epoch 6: no improvement for 3 epochs."
    )


def test_a_run_to_the_end_is_restored_too():
    model, recorder = network(keras.optimizers.SGD(0.1)), AtEpochEnd(everything)
    stopping = EarlyStopping("val_mine", patience=None, mode="min", restore_best_weights=True)
    train(model, LogThis([2.0, 1.0, 3.0]), stopping, recorder, epochs=3)
    assert everything(model) == recorder.found[1]
    assert stopping.reason is None and stopping.stopped_epoch == 0
    assert stopping.description.endswith("the best (val_mine 1), and its optimizer the state of then.")


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_resumed_one_stops_as_the_uninterrupted_one(cut):
    train_loss = [1.0, 0.9, 0.8, 0.8, 0.79, 0.78, 0.77, 0.76, 0.75, 0.74]
    validation = [1.0, NAN, 0.9, 0.95, 0.94, 0.93, 0.92, 0.92, 0.92, 0.92]
    epochs = [{"loss": a, "val_loss": b} for a, b in zip(train_loss, validation, strict=True)]
    options = {"patience": 6, "baseline": 2.0, "progress_quotient": 99.0, "strip_epochs": 4}
    whole = EarlyStopping(**options)
    assert driven(whole, epochs) == 9
    before, after = EarlyStopping(**options), EarlyStopping(**options)
    driven(before, epochs[:cut])
    assert cut + driven(after, epochs[cut:], first=cut, state=before.state_dict()) == 9
    assert after.state_dict() == whole.state_dict() and after.description == whole.description


def test_one_that_had_stopped_stops_a_resumed_fit():
    stopping = EarlyStopping(patience=1)
    driven(stopping, losses(1.0, 2.0))
    resumed, model = EarlyStopping(patience=1), fake_model()
    driven(resumed, [], model, state=stopping.state_dict())
    assert model.stop_training and resumed.reason == "no improvement for 1 epoch"


class Total(keras.metrics.Sum):
    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_pred, sample_weight)


@pytest.mark.backend
def test_auto_asks_the_metric():
    stopping, data = EarlyStopping(["val_accuracy", "val_loss"], patience=9), regression(batches=2)
    model = network(keras.optimizers.SGD(0.0), metrics=["accuracy", Total(name="total")])
    model.fit(*data, validation_data=data, epochs=1, callbacks=[stopping], verbose=0)
    assert [monitor.minimizes for monitor in stopping.monitors] == [False, True]
    with pytest.raises(InputError, match=r"whether more of 'val_total' is better or less.*Use 'min' or 'max'"):
        model.fit(*data, validation_data=data, callbacks=[EarlyStopping("val_total")], verbose=0)


def test_an_epoch_without_validation_is_not_counted():
    stopping = EarlyStopping(patience=2)
    with pytest.warns(UserWarning, match="no validation, so 'val_loss' could not be watched"):
        seen = driven(stopping, [*losses(1.0, 2.0), *[{"loss": 0.0}] * 5, *losses(3.0)])
    assert seen == 8 and stopping.wait == 2


def test_a_monitor_that_is_not_logged():
    with pytest.raises(InputError, match=r"one of what epochs log: loss, val_loss. .*mean `val_loss`"):
        driven(EarlyStopping("val_lss"), [{"loss": 1.0, "val_loss": 1.0}])
    with pytest.raises(InputError, match="Received: monitor='los'"):
        driven(EarlyStopping("los"), [{"loss": 1.0}])


def test_prechelts_error_is_not_negative():
    with pytest.raises(InputError, match=r"minimized and >= 0. Received: 'val_loss', -1"):
        driven(EarlyStopping(generalization_loss=5.0), losses(-1.0))


INVALID = {
    "`monitor` must be a name": {"monitor": 3},
    "`monitor` must be a name or a list of different ones": {"monitor": ["loss", "loss"]},
    "`min_delta` must be a number >= 0": {"min_delta": -0.1},
    "`patience` must be a whole number >= 0": {"patience": 1.5},
    "`verbose` must": {"verbose": "yes"},
    "`mode` must be one of 'auto', 'min', 'max'": {"mode": "mn"},
    "`mode` must be one value, or a list of 1, one a monitor": {"mode": ["min", "max"]},
    "`baseline` must be a number": {"baseline": NAN},
    "`restore_best_weights` must be True or False": {"restore_best_weights": 1},
    "`start_from_epoch` must be a whole number >= 0": {"start_from_epoch": -1},
    "`stop_when` must be one of 'all', 'any'": {"stop_when": "both"},
    "`max_seconds` must be a number > 0": {"max_seconds": 0},
    "`generalization_loss` must be a number > 0.*None to switch it off": {"generalization_loss": -5},
    "`progress_quotient` must be a number > 0": {"progress_quotient": 0},
    "`strip_epochs` must be a whole number >= 1": {"strip_epochs": 0},
    "`patience=None` needs something else to stop at": {"patience": None},
    "of an error that is minimized": {"generalization_loss": 5.0, "mode": "max"},
    "`monitor` must begin with 'val_'": {"progress_quotient": 1.0, "monitor": "loss"},
}


@pytest.mark.parametrize("message", INVALID)
def test_arguments_out_of_range(message):
    with pytest.raises(InputError, match=message):
        EarlyStopping(**INVALID[message])
