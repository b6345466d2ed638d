import keras
import numpy as np
import pytest
from callback_probes import AtEpochEnd, everything, network
from optimizer_probes import AfterEachBatch, array, linear_model, mean, numbers, regression

from kerastrain._core.errors import InputError
from kerastrain.callbacks import AveragedWeights, EarlyStopping
from kerastrain.optimizers import (
    ComposedOptimizer,
    ExponentialAveraging,
    Lookahead,
    LookaheadNesterov,
    PolyakAveraging,
    StochasticWeightAveraging,
)

INPUTS, TARGETS = regression(batches=3)
VALIDATION = numbers(10, 3, seed=20), numbers(10, 2, seed=21)

AVERAGES = {
    "polyak": lambda: ComposedOptimizer(keras.optimizers.Adam(0.1), averaging=PolyakAveraging()),
    "exponential": lambda: ComposedOptimizer(
        keras.optimizers.SGD(0.1), averaging=ExponentialAveraging(0.9), gradient_accumulation_steps=2
    ),
    "swa": lambda: ComposedOptimizer(keras.optimizers.SGD(0.1), averaging=StochasticWeightAveraging(4, 2)),
    "lookahead": lambda: ComposedOptimizer(keras.optimizers.SGD(0.1), averaging=Lookahead(4)),
    "nesterov": lambda: LookaheadNesterov(0.05),
}


def train(model, *callbacks, **options):
    options = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    return model.fit(INPUTS, TARGETS, validation_data=VALIDATION, callbacks=list(callbacks), **options).history


@pytest.mark.backend
def test_what_is_logged_is_the_loss_of_the_mean_of_the_iterates():
    model = linear_model()
    model.compile(AVERAGES["polyak"](), loss="mse", metrics=["mae"])
    seen = AfterEachBatch(lambda: [array(weight) for weight in model.trainable_variables])
    history = train(model, seen, AveragedWeights(VALIDATION, batch_size=10))
    for epoch in range(3):
        kernel, bias = mean(seen.found[: 3 * (epoch + 1)])
        residual = VALIDATION[0] @ kernel + bias - VALIDATION[1]
        np.testing.assert_allclose(history["val_averaged_loss"][epoch], np.mean(residual**2), rtol=1e-4)
        np.testing.assert_allclose(history["val_averaged_mae"][epoch], np.mean(np.abs(residual)), rtol=1e-4)
    assert abs(history["val_loss"][0] - history["val_averaged_loss"][0]) > 1e-3


@pytest.mark.backend
def test_sample_weights_and_datasets():
    class Data(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return (*VALIDATION, weight)

    weight = np.arange(10, dtype="float32")
    losses = []
    for data in ((*VALIDATION, weight), Data()):
        model = linear_model()
        model.compile(AVERAGES["polyak"](), loss="mse")
        losses.append(train(model, AveragedWeights(data, batch_size=10))["val_averaged_loss"])
    np.testing.assert_allclose(*losses, rtol=1e-6)
    model = linear_model()
    model.compile(AVERAGES["polyak"](), loss="mse")
    assert train(model, AveragedWeights(VALIDATION))["val_averaged_loss"] != pytest.approx(losses[0])


def forward(weights, inputs, statistics_of):
    """The network's outputs in float64, batch normalization with the statistics of all `statistics_of`."""
    kernel, bias, gamma, beta, head, offset = (np.float64(weight) for weight in weights)
    hidden, whole = (np.tanh(np.float64(values) @ kernel + bias) for values in (inputs, statistics_of))
    normalized = (hidden - whole.mean(axis=0)) / np.sqrt(whole.var(axis=0) + 1e-3)
    return (normalized * gamma + beta) @ head + offset


@pytest.mark.backend
def test_batch_normalization_has_the_statistics_of_the_averaged_weights():
    model = network(AVERAGES["polyak"]())
    seen = AfterEachBatch(lambda: [array(weight) for weight in model.trainable_variables])
    recalibrated = AveragedWeights(VALIDATION, recalibrate_on=INPUTS)
    history = train(model, seen, recalibrated)
    # All twelve samples are one batch of the recalibration.
    outputs = forward(mean(seen.found), VALIDATION[0], INPUTS)
    np.testing.assert_allclose(history["val_averaged_loss"][-1], np.mean((outputs - VALIDATION[1]) ** 2), rtol=1e-4)
    stale = network(AVERAGES["polyak"]())
    assert train(stale, AveragedWeights(VALIDATION))["val_averaged_loss"] != history["val_averaged_loss"]


@pytest.mark.backend
@pytest.mark.parametrize(
    "name",
    [name if name in ("exponential", "lookahead") else pytest.param(name, marks=pytest.mark.slow) for name in AVERAGES],
)
def test_no_bit_of_the_training_changes(name, tmp_path):
    disturbed, undisturbed = network(AVERAGES[name](), dropout=0.3), network(AVERAGES[name](), dropout=0.3)
    before, after = AtEpochEnd(everything), AtEpochEnd(everything)
    callback = AveragedWeights(VALIDATION, recalibrate_on=INPUTS, recalibrate_steps=1)
    saves = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: callback.save(tmp_path / "averaged.keras"))
    history = train(disturbed, before, callback, saves, after)
    assert before.found == after.found
    seen = AtEpochEnd(everything)
    plain = train(undisturbed, seen)
    assert seen.found == before.found and everything(disturbed) == everything(undisturbed)
    assert history["loss"] == plain["loss"] and history["val_loss"] == plain["val_loss"]
    assert history["val_averaged_loss"][-1] != history["val_loss"][-1]


@pytest.mark.slow
@pytest.mark.backend
def test_under_loss_scaling():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        models = [network(AVERAGES["polyak"](), dropout=0.3) for _ in range(2)]
    finally:
        keras.config.set_dtype_policy("float32")
    assert "val_averaged_loss" in train(models[0], AveragedWeights(VALIDATION, recalibrate_on=INPUTS))
    train(models[1])
    assert everything(models[0]) == everything(models[1])


@pytest.mark.backend
@pytest.mark.parametrize("averaging", [lambda: PolyakAveraging(start_step=6), lambda: Lookahead(7)])
def test_until_the_averages_begin_it_is_the_training_weights(averaging):
    model = network(ComposedOptimizer(keras.optimizers.SGD(0.1), averaging=averaging()))
    history = train(model, AveragedWeights(VALIDATION), validation_batch_size=32)
    assert history["val_averaged_loss"][:2] == history["val_loss"][:2]
    assert history["val_averaged_loss"][2] != history["val_loss"][2]


@pytest.mark.backend
def test_the_saved_model_has_the_averages(tmp_path):
    model, callback = network(AVERAGES["polyak"]()), AveragedWeights(recalibrate_on=INPUTS)
    seen = AfterEachBatch(lambda: [array(weight) for weight in model.trainable_variables])
    history = train(model, seen, callback)
    assert set(history) == {"loss", "val_loss"}
    state = everything(model)
    callback.save(str(tmp_path / "averaged.keras"))
    model.save(tmp_path / "model.keras")
    assert everything(model) == state
    averaged, trained = (keras.saving.load_model(tmp_path / f"{name}.keras") for name in ("averaged", "model"))
    for weight, expected in zip(averaged.trainable_variables, mean(seen.found), strict=True):
        np.testing.assert_allclose(array(weight), expected, rtol=1e-4, atol=1e-6)
    outputs = forward(mean(seen.found), VALIDATION[0], INPUTS)
    np.testing.assert_allclose(averaged.predict(VALIDATION[0], verbose=0), outputs, rtol=1e-3, atol=1e-4)
    for one, other in zip(trained.get_weights(), model.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["averaged.keras", "model.keras"]


@pytest.mark.backend
def test_early_stopping_can_watch_the_averages():
    model = network(AVERAGES["polyak"]())
    stopping = EarlyStopping("val_averaged_loss", patience=1, min_delta=100.0, restore_best_weights=True)
    history = train(model, AveragedWeights(VALIDATION), stopping, epochs=9)
    assert len(history["loss"]) == 2 and stopping.best == history["val_averaged_loss"][0]
    # The averages of the best epoch are in the optimizer again.
    again = AveragedWeights(VALIDATION)
    again.set_model(model)
    with again.averaged():
        np.testing.assert_allclose(model.evaluate(*VALIDATION, verbose=0), stopping.best, rtol=1e-6)


def begin(optimizer):
    callback = AveragedWeights(VALIDATION)
    callback.set_model(network(optimizer))
    callback.on_train_begin()


def test_an_optimizer_that_averages_nothing_is_refused_before_the_first_step():
    with pytest.raises(InputError, match=r"ComposedOptimizer that has `averaging`. Its optimizer is: SGD"):
        begin(keras.optimizers.SGD(0.1, use_ema=True))
    with pytest.raises(InputError, match="has no `averaging`"):
        begin(ComposedOptimizer(keras.optimizers.SGD(0.1)))


def test_without_a_model_there_is_nothing_to_save(tmp_path):
    with pytest.raises(InputError, match=r"no model yet. Give this callback to `fit`"):
        AveragedWeights().save(tmp_path / "averaged.keras")
    with pytest.raises(InputError, match=r"`path` must end with .keras"):
        AveragedWeights().save(tmp_path / "averaged.h5")
    assert list(tmp_path.iterdir()) == []


INVALID = {
    "`validation_data` must be .x, y. or": {"validation_data": (INPUTS,)},
    "`validation_data` is read after every epoch": {"validation_data": iter([VALIDATION])},
    "`validation_data` must be arrays or a dataset": {"validation_data": "data"},
    "or a dataset of such batches. Received: a ndarray, without labels": {"validation_data": INPUTS},
    "or a dataset of such batches. Received: a dict, without labels": {"validation_data": {"x": INPUTS}},
    r"Received: unlike numbers of samples, \[2, 3\]": {"validation_data": (INPUTS[:2], INPUTS[:3])},
    "`validation_data` must be arrays or a dataset. Received: validation_data=<function": {"validation_data": network},
    "`batch_size` must be a whole number >= 1": {"batch_size": 0},
    "`recalibrate_on` is read after every epoch": {"recalibrate_on": (batch for batch in [INPUTS])},
    "`recalibrate_steps` must be a whole number >= 1": {"recalibrate_on": INPUTS, "recalibrate_steps": 0.5},
    "`recalibrate_steps` are batches of": {"recalibrate_steps": 3},
}


@pytest.mark.parametrize("message", INVALID)
def test_arguments_that_are_something_else(message):
    with pytest.raises(InputError, match=message):
        AveragedWeights(**INVALID[message])
