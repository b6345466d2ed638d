"""A training in which something goes bad, beside one that never saw the batches that the guard has skipped."""

import json
import math

import keras
import numpy as np
import pytest
from callback_probes import everything
from guard_probes import (
    STEPS,
    Listed,
    Poison,
    Seen,
    batches,
    compared,
    decaying,
    fit,
    guard,
    network,
    plain,
    recording,
    skipping,
    spoiled,
)

from kerastrain import callbacks
from kerastrain._core.errors import InputError, WorkFailedError

# Which step is bad (from 1), which is the last good copy before it with a copy every 2 steps, where it is noticed.
PLACES = [(1, 0, 1), (2, 0, 2), (3, 2, 3), (6, 4, 6)]


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["input", "loss"])
@pytest.mark.parametrize(("bad", "good", "noticed"), PLACES)
def test_a_bad_batch_leaves_no_trace(kind, bad, good, noticed):
    model, watching, seen = network(), guard(), Seen()
    first, second = spoiled(batches(0), bad - 1, kind), batches(1)
    history = fit(model, [first, second], seen, watching)
    kept = [*batches(0)[:good], *batches(0)[noticed:]]
    logs = compared(everything(model), kept, second)
    assert history.history["loss"] == [row["loss"] for row in logs]
    assert history.history["mae"] == [row["mae"] for row in logs]
    # What a callback remembers has gone back too; the bad step was shown to none.
    assert seen.steps == len(kept) + STEPS
    assert [one is None for one in seen.losses] == [step == noticed for step in range(1, 2 * STEPS + 1)]
    (event,) = watching.events
    assert (event["epoch"], event["step"], event["action"], event["good_step"]) == (0, noticed, "rollback", good)
    assert event["skipped_steps"] == noticed - good and event["cause"] == "the loss is nan"


@pytest.mark.backend
@pytest.mark.parametrize(("bad", "good", "noticed"), [(1, 0, 2), (2, 0, 2), (3, 2, 4), (5, 4, 6), (6, 4, 6)])
def test_a_bad_gradient_is_noticed_by_the_next_loss_or_look(bad, good, noticed):
    model, watching = network(), guard()
    fit(model, [spoiled(batches(), bad - 1, "gradient")], watching)
    compared(everything(model), [*batches()[:good], *batches()[noticed:]])
    assert [(event["step"], event["good_step"]) for event in watching.events] == [(noticed, good)]


@pytest.mark.backend
def test_recorded_norms_tell_of_it_at_once():
    model, watching = network(recording), guard()
    given = spoiled(batches(), 2, "gradient")
    fit(model, [given], watching)
    compared(everything(model), [*batches()[:2], *batches()[3:]], optimizer=recording)
    assert [event["cause"] for event in watching.events] == ["the gradient's norm is nan"]
    # A step that is skipped leaves the norms as they were.
    model, watching = network(skipping), guard()
    fit(model, [given], watching)
    assert watching.events == []


@pytest.mark.backend
@pytest.mark.parametrize(
    ("variable", "cause"),
    [
        (lambda model: model.get_layer("head").kernel, "the loss is nan"),
        (lambda model: model.get_layer("norm").moving_mean, "`network/norm/moving_mean` is not finite"),
        (lambda model: model.optimizer.averaging.averages[0], "_average` is not finite"),
    ],
    ids=["weight", "statistic", "average"],
)
def test_a_bad_variable_is_found_at_the_next_loss_or_look(variable, cause):
    model, watching = network(), guard()
    fit(model, [batches()], Poison(3, variable), watching)
    compared(everything(model), [*batches()[:2], *batches()[4:]])
    (event,) = watching.events
    assert (event["step"], event["good_step"]) == (4, 2) and event["cause"].endswith(cause)


def test_the_last_step_is_looked_at_before_the_validation():
    model, watching = network(), guard(every_steps=100)
    history = fit(
        model,
        [batches()],
        Poison(STEPS, lambda model: model.get_layer("head").kernel),
        watching,
        validation_data=Listed(batches(9)),
    )
    assert [(event["step"], event["good_step"]) for event in watching.events] == [(STEPS, 0)]
    assert math.isnan(history.history["loss"][0])  # Nothing of the epoch is left.
    found = everything(model)
    expected = network().evaluate(Listed(batches(9)), verbose=0, return_dict=True)
    assert history.history["val_loss"] == [expected["loss"]]
    compared(found)


def test_data_of_unknown_length():
    def endless():
        yield from spoiled(batches(), 2, "gradient")

    model, watching = network(), guard(every_steps=100)
    model.fit(endless(), shuffle=False, verbose=0, callbacks=[watching])
    assert [(event["step"], event["good_step"]) for event in watching.events] == [(4, 0)]
    found = everything(model)
    # Not a fit on the known number: TensorFlow begins a step more, which moves the seed of dropout.
    model = network()
    model.fit((one for one in batches()[4:]), shuffle=False, verbose=0)
    assert everything(model) == found
    model, watching = network(), guard(every_steps=100)
    poison = Poison(STEPS, lambda model: model.get_layer("head").kernel)
    model.fit((one for one in batches()), validation_data=Listed(batches(9)), verbose=0, callbacks=[poison, watching])
    assert [(event["step"], event["good_step"]) for event in watching.events] == [(STEPS, 0)]
    assert all(np.isfinite(value).all() for value in model.get_weights())


@pytest.mark.backend
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no steps_per_execution on torch")
def test_steps_per_execution():
    model, watching = network(steps_per_execution=2), guard(every_steps=2)
    fit(model, [spoiled(batches(), 2, "loss")], watching)
    assert [(event["step"], event["good_step"]) for event in watching.events] == [(4, 2)]
    compared(everything(model), [*batches()[:2], *batches()[4:]], steps_per_execution=2)


@pytest.mark.backend
def test_an_exploding_loss_is_told_from_the_median():
    given = spoiled(batches(count=10), 7, "explosion", factor=100.0)
    model, watching = network(), guard(every_steps=1, loss_factor=20.0, window_steps=5)
    fit(model, [given], watching)
    compared(everything(model), [*batches(count=10)[:7], *batches(count=10)[8:]])
    (event,) = watching.events
    assert event["step"] == 8 and event["value"] > 1e3
    # The loss of the step, and not the mean of the epoch that is logged: by hand from a run to there.
    model = network()
    losses = [model.train_on_batch(*one, return_dict=True)["loss"] for one in given[:8]]
    assert event["value"] == pytest.approx(losses[7], rel=1e-4)
    assert float(event["cause"].split()[4]) == pytest.approx(event["value"] / np.median(losses[2:7]), rel=1e-2)


@pytest.mark.backend
def test_an_exploding_gradient():
    given = spoiled(batches(count=10), 7, "explosion", factor=100.0)
    model, watching = network(recording), guard(every_steps=1, gradient_factor=10.0, window_steps=5)
    fit(model, [given], watching)
    kept = [*batches(count=10)[:7], *batches(count=10)[8:]]
    compared(everything(model), kept, optimizer=recording)
    assert watching.events[0]["cause"].startswith("the gradient's norm is ")


def test_the_window_is_in_steps_whatever_an_execution_has():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras has no steps_per_execution on torch")
    # Three executions are six steps; the fifth execution has the explosion.
    given = spoiled(batches(count=10), 8, "explosion", factor=1000.0)
    watching = guard(every_steps=2, loss_factor=20.0, window_steps=6)
    fit(network(steps_per_execution=2), [given], watching)
    assert [event["step"] for event in watching.events] == [10]


def test_no_window_no_comparison():
    given = spoiled(batches(count=10), 7, "explosion", factor=100.0)
    watching = guard(every_steps=1, loss_factor=20.0, window_steps=8)
    fit(network(), [given], watching)
    assert watching.events == []


@pytest.mark.backend
def test_when_the_rollbacks_are_used_up_it_stops(tmp_path):
    given = batches()
    for index in (1, 3, 4):
        given = spoiled(given, index, "loss")
    model, path, told = network(), tmp_path / "run" / "events.jsonl", []
    watching = guard(max_rollbacks=2, every_steps=1, path=path, announce=told.append)
    with pytest.raises(WorkFailedError, match=r"diverged: epoch 1, step 5: the loss is nan, and of 2 rollbacks"):
        fit(model, [given], watching)
    # The model has the last good state, that behind batches 1 and 3.
    compared(everything(model), [batches()[0], batches()[2]])
    assert [event["action"] for event in watching.events] == ["rollback", "rollback", "stop"]
    assert [json.loads(line) for line in path.read_text().splitlines()] == watching.events
    assert len(told) == 2
    assert (
        told[0]
        == "epoch 1, step 2: the loss is nan. Back to the state behind step 1, 1 batch skipped (rollback 1 of 2)."
    )


def test_none_allowed_and_none_possible():
    with pytest.raises(WorkFailedError, match="of 0 rollbacks none is left"):
        fit(network(), [spoiled(batches(), 0, "loss")], guard(max_rollbacks=0))
    model = network()
    model.get_layer("head").kernel.assign(np.full((5, 2), np.inf))
    with pytest.raises(WorkFailedError, match=r"`network/head/kernel` is not finite before step 1 of epoch 1"):
        fit(model, [batches()], guard())


@pytest.mark.backend
@pytest.mark.parametrize("optimizer", [plain, decaying])
def test_the_rate_is_cut_and_stays_so(optimizer):
    schedule = optimizer is decaying
    model, watching = network(optimizer), guard(every_steps=2, rate_factor=0.5)
    fit(model, [spoiled(spoiled(batches(), 2, "loss"), 3, "loss")], watching)
    found = everything(model)
    # Two updates before the first cut, then two cuts, and two more updates.
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    assert rate == pytest.approx(0.5 / (1 + 4) * 0.25 if schedule else 0.125)
    at = 0.5 / (1 + 2) if schedule else 0.5
    assert [event["learning_rate"] for event in watching.events] == pytest.approx([at * 0.5, at * 0.25])
    # The same by hand, with the cuts before the third update.
    model = network(optimizer)
    fit(model, [batches()[:2]])
    if schedule:
        model.optimizer.hyperparameters["plateau_multiplier"] = 0.25
    else:
        model.optimizer.learning_rate = 0.125
    fit(model, [batches()[4:]])
    assert everything(model) == found


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"max_rollbacks": -1}, "max_rollbacks"),
        ({"every_steps": 0}, "every_steps"),
        ({"rate_factor": 1.0}, "rate_factor"),
        ({"loss_factor": 1.0}, "loss_factor"),
        ({"gradient_factor": 0.5}, "gradient_factor"),
        ({"window_steps": 0}, "window_steps"),
    ],
)
def test_an_argument_out_of_range(arguments, argument):
    with pytest.raises(InputError, match=f"`{argument}`"):
        callbacks.DivergenceGuard(**arguments)


def test_what_cannot_work_is_refused_at_the_beginning():
    def scheduled():
        return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9))

    with pytest.raises(InputError, match=r"follows ExponentialDecay"):
        fit(network(scheduled), [batches()], guard(rate_factor=0.5))
    with pytest.raises(InputError, match="`gradient_factor` needs"):
        fit(network(), [batches()], guard(gradient_factor=5.0))
    with pytest.raises(InputError, match="one DivergenceGuard"):
        fit(network(), [batches()], guard(), guard())
    with pytest.raises(InputError, match="`path` needs a folder"):
        fit(network(), [batches()], guard(path=f"{__file__}/events.jsonl"))
    with pytest.raises(InputError, match="LearningRateScheduler"):
        fit(network(), [batches()], guard(rate_factor=0.5), keras.callbacks.LearningRateScheduler(lambda epoch: 0.1))


def test_the_process_s_generators_go_on():
    # Out of them a generator of the user's draws its batches; the same draws would be the same batches.
    drawn = []

    def draws():
        for index in range(STEPS):
            drawn.append(np.random.random())
            yield (spoiled(batches(), 2, "loss"))[index]

    fit_on = draws()
    network().fit(fit_on, verbose=0, callbacks=[guard()])
    assert len(set(drawn)) == len(drawn) == STEPS
