"""A training in which something goes bad, beside one that never saw the batches that the guard has skipped."""

import contextlib
import json
import math

import keras
import numpy as np
import pytest
from callback_probes import everything

from kerastrain import callbacks
from kerastrain._core import checkpoint_files
from kerastrain._core.errors import InputError, WorkFailedError
from kerastrain.callbacks import fit_state
from kerastrain.datasets import Batches
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


# Beside a checkpoint, killed and resumed.


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
