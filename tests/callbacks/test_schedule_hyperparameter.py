import keras
import numpy as np
import pytest
from callback_probes import AtEpochEnd, everything, network
from optimizer_probes import AfterEachBatch, array, regression

from kerastrain._core.errors import InputError
from kerastrain.callbacks import ScheduleHyperparameter
from kerastrain.layers import VariableRateDropout
from kerastrain.optimizers import ClipByGlobalNorm, ComposedOptimizer, MomentumSGD, ParameterGroup

BACKEND = keras.backend.backend()
DECAY = keras.optimizers.schedules.PolynomialDecay(0.9, 6, 0.3)


def composed(momentum=0.5, **options):
    return ComposedOptimizer(MomentumSGD(0.05, momentum=momentum, weight_decay=0.0), **options)


def train(model, *callbacks, **options):
    inputs, targets = regression(batches=3)
    options = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    return model.fit(inputs, targets, callbacks=list(callbacks), **options)


@pytest.mark.backend
@pytest.mark.parametrize("accumulation", [None, 2])
def test_by_step_it_is_the_schedule_within_the_rule(accumulation):
    options = {"gradient_accumulation_steps": accumulation}
    by_callback, within = network(composed(0.1, **options)), network(composed(DECAY, **options))
    train(by_callback, ScheduleHyperparameter("momentum", DECAY, by="step"))
    train(within)
    for one, other in zip(by_callback.get_weights(), within.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.backend
def test_by_step_it_counts_updates():
    model = network(composed(gradient_accumulation_steps=2))
    seen = AfterEachBatch(lambda: float(array(model.optimizer.hyperparameters["momentum"])))
    train(model, ScheduleHyperparameter("momentum", lambda step: step / 10, by="step"), seen)
    # Nine batches, an update behind every second one; the value in a batch is that of the updates before it.
    np.testing.assert_allclose(seen.found, [0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4], rtol=1e-6)


def test_with_several_steps_an_execution_it_moves_at_their_boundaries():
    model = network(composed(), steps_per_execution=3)
    seen = AfterEachBatch(lambda: float(array(model.optimizer.hyperparameters["momentum"])))
    train(model, ScheduleHyperparameter("momentum", lambda step: step / 10, by="step"), seen)
    np.testing.assert_allclose(seen.found, [0.0, 0.3, 0.6], rtol=1e-6)


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_by_epoch_everything_that_has_a_name(policy):
    keras.config.set_dtype_policy(policy)
    try:
        groups = [ParameterGroup(r"(^|/)head/", l2=0.1, name="head")]
        model = network(composed(gradient_transforms=[ClipByGlobalNorm(1.0)], groups=groups))
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    names = ["momentum", "weight_decay", "clip_by_global_norm.max_norm", "head.l2", "plateau_multiplier"]
    callbacks = [
        ScheduleHyperparameter(name, lambda epoch, place=place: (place + 1) / (epoch + 10))
        for place, name in enumerate(names)
    ]
    seen = AtEpochEnd(lambda model: [float(array(optimizer.hyperparameters[name])) for name in names])
    train(model, *callbacks, seen)
    expected = [[(place + 1) / (epoch + 10) for place in range(5)] for epoch in range(3)]
    np.testing.assert_allclose(seen.found, expected, rtol=1e-6)


def with_dropout():
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((3,)),
        VariableRateDropout(0.1, seed=1, name="first"),
        keras.Sequential([keras.Input((3,)), VariableRateDropout(0.2, seed=2, name="second")], name="inner"),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(0.01), loss="mse")
    return model


def dropout_rates(model):
    return [model.get_layer("first").rate, model.get_layer("inner").get_layer("second").rate]


@pytest.mark.backend
@pytest.mark.parametrize("by", ["epoch", "step"])
def test_the_rates_of_layers(by):
    model, steps = with_dropout(), {"epoch": 1, "step": 3}[by]
    falling = keras.optimizers.schedules.InverseTimeDecay(0.5, steps, 1.0)
    seen = AtEpochEnd(dropout_rates)
    train(model, ScheduleHyperparameter(VariableRateDropout, falling, by=by), seen)
    # By step the last of an epoch's three was set at 2, 5, 8.
    expected = [0.5 / (1 + at) for at in ((0, 1, 2) if by == "epoch" else (2 / 3, 5 / 3, 8 / 3))]
    np.testing.assert_allclose(seen.found, [[value, value] for value in expected], rtol=1e-6)
    one = with_dropout()
    train(one, ScheduleHyperparameter(one.get_layer("first"), falling, by=by))
    np.testing.assert_allclose(dropout_rates(one), [expected[-1], 0.2], rtol=1e-6)


@pytest.mark.backend
def test_a_rate_of_zero_is_a_training_without_dropout():
    # Otherwise the compiled step would have kept the rate that it was traced with.
    model, plain = with_dropout(), with_dropout()
    for layer in (plain.get_layer("first"), plain.get_layer("inner").get_layer("second")):
        layer.rate = 0.0
    train(model, ScheduleHyperparameter(VariableRateDropout, lambda step: 0.0, by="step"))
    train(plain)
    for one, other in zip(model.trainable_variables, plain.trainable_variables, strict=True):
        np.testing.assert_array_equal(array(one), array(other))


@pytest.mark.backend
def test_variables_and_lists():
    model = network(composed())
    own = keras.Variable(0.0)
    train(model, ScheduleHyperparameter([own, "momentum"], lambda epoch: 0.25 * epoch), epochs=3)
    assert float(array(own)) == float(array(model.optimizer.hyperparameters["momentum"])) == 0.5


@pytest.mark.backend
@pytest.mark.parametrize("by", ["epoch", "step"])
def test_a_resumed_training_needs_no_state(by, tmp_path):
    callback = ScheduleHyperparameter("momentum", lambda at: 0.9 / (1 + at), by=by)
    assert callback.state_dict() == {}
    whole, cut = network(composed()), network(composed())
    train(whole, callback, epochs=4)
    train(cut, callback, epochs=2)
    cut.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    train(resumed, ScheduleHyperparameter("momentum", callback.schedule, by=by), initial_epoch=2, epochs=4)
    assert everything(resumed) == everything(whole)


UNKNOWN = {
    "has no hyperparameter that can be moved.*Received: hyperparameter='momentum'.*ComposedOptimizer": (
        lambda: keras.optimizers.SGD(0.1),
        "momentum",
    ),
    "`momentm` is not a hyperparameter.*Did you mean `momentum`.*Known: learning_rate, momentum": (composed, "momentm"),
    "`momentum` of .* cannot be set. It follows a schedule": (lambda: composed(DECAY), "momentum"),
    "has no layer VariableRateDropout": (composed, VariableRateDropout),
    "has no layer 'stray'": (composed, VariableRateDropout(0.1, name="stray")),
    "a Dropout, has no rate that can be moved.*VariableRateDropout": (composed, keras.layers.Dropout),
    r"must be a scalar variable. Received: .*of shape \(2,\)": (composed, keras.Variable([1.0, 2.0])),
}


@pytest.mark.parametrize("message", UNKNOWN)
def test_what_is_not_there_is_refused_before_the_first_step(message):
    make, hyperparameter = UNKNOWN[message]
    model = network(make())
    callback = ScheduleHyperparameter(hyperparameter, lambda epoch: 0.5)
    callback.set_model(model)
    with pytest.raises(InputError, match=message):
        callback.on_train_begin()


def test_a_value_out_of_its_range():
    model = network(composed())
    with pytest.raises(InputError, match=r"`momentum` must be a number >= 0 and <= 1. Received: momentum=1.5"):
        train(model, ScheduleHyperparameter("momentum", lambda epoch: 1.5))
    with pytest.raises(InputError, match=r"`schedule\(0\)` must be a number. Received: schedule\(0\)=nan"):
        train(model, ScheduleHyperparameter("momentum", lambda epoch: float("nan")))


INVALID = {
    "`hyperparameter` must be a name of": (3, lambda epoch: 0.5, "epoch"),
    "`hyperparameter` must name something": ([], lambda epoch: 0.5, "epoch"),
    "`schedule` must be a LearningRateSchedule or a function": ("momentum", 0.5, "epoch"),
    "`by` must be one of 'epoch', 'step'": ("momentum", lambda epoch: 0.5, "batch"),
}


@pytest.mark.parametrize("message", INVALID)
def test_arguments_that_are_something_else(message):
    with pytest.raises(InputError, match=message):
        ScheduleHyperparameter(*INVALID[message])
