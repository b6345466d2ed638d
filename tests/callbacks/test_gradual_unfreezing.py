import keras
import numpy as np
import pytest
from callback_probes import everything
from optimizer_probes import array, regression

from kerastrain._core.errors import InputError
from kerastrain.callbacks import GradualUnfreezing
from kerastrain.optimizers import ComposedOptimizer, ParameterGroup

NAMES = ("first", "second", "third", "head")


def groups(*names, **options):
    return [ParameterGroup(rf"(^|/){name}/", name=name, **{"trainable": False, **options}) for name in names]


@keras.saving.register_keras_serializable(package="tests")
class Counting(keras.layers.Layer):
    traces = 0

    def call(self, inputs):
        self.traces += not isinstance(inputs, keras.KerasTensor)
        return inputs


def network(optimizer):
    keras.utils.set_random_seed(0)
    layers = [Counting(name="counting")]
    layers += [keras.layers.Dense(4, activation="tanh", name=name) for name in NAMES[:3]]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2, name="head", dtype="float32")])
    model.compile(optimizer, loss="mse")
    return model


def composed(*parts):
    return ComposedOptimizer(keras.optimizers.AdamW(0.01, weight_decay=0.1), groups=parts)


class Moved(keras.callbacks.Callback):
    """Which layers have changed in each epoch."""

    def on_train_begin(self, logs=None):
        self.found, self.before, self.traces = [], self.weights(), set()

    def weights(self):
        return {name: array(self.model.get_layer(name).kernel) for name in NAMES}

    def on_epoch_end(self, epoch, logs=None):
        after = self.weights()
        self.found.append([name for name in NAMES if (after[name] != self.before[name]).any()])
        self.before = after
        self.traces.add(self.model.get_layer("counting").traces)


def moved(model, callback, **options):
    inputs, targets = regression(batches=2)
    seen = Moved()
    options = {"batch_size": 4, "epochs": 5, "shuffle": False, "verbose": 0, **options}
    model.fit(inputs, targets, callbacks=[callback, seen], **options)
    if keras.backend.backend() != "torch":
        assert len(seen.traces) == 1, "it was compiled again"
    return seen.found


@pytest.mark.backend
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_one_more_layer_after_each_epoch_the_last_first(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = network(composed(*groups("first", "second", "third")))
    finally:
        keras.config.set_dtype_policy("float32")
    found = moved(model, GradualUnfreezing())
    assert found[0] in ([["head"], []] if policy == "mixed_float16" else [["head"]])  # Scaled gradients may overflow.
    assert found[1:] == [["third", "head"], ["second", "third", "head"], list(NAMES), list(NAMES)]


@pytest.mark.backend
def test_epochs_and_an_order_of_ones_own():
    third = groups("third")[0]
    model = network(composed(*groups("first", "second"), third))
    found = moved(model, GradualUnfreezing(["first", third], epochs=[1, 3]))
    rest = [["head"], ["first", "head"], ["first", "head"], ["first", "third", "head"], ["first", "third", "head"]]
    assert found == rest
    two = network(composed(*groups("second", "third")))
    assert [len(names) for names in moved(two, GradualUnfreezing(epochs=2))] == [2, 2, 3, 3, 4]


def test_a_group_that_starts_trained_is_frozen_until_its_epoch():
    model = network(composed(*groups("first", "second", "third", trainable=True, switchable=True)))
    assert [len(names) for names in moved(model, GradualUnfreezing(["third", "second", "first"]))] == [1, 2, 3, 4, 4]


@pytest.mark.backend
def test_a_resumed_training_needs_no_state(tmp_path):
    whole, cut = network(composed(*groups("first", "third"))), network(composed(*groups("first", "third")))
    callback = GradualUnfreezing()
    assert callback.state_dict() == {}
    moved(whole, callback, epochs=4)
    moved(cut, callback, epochs=2)
    cut.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    moved(resumed, GradualUnfreezing(), initial_epoch=2, epochs=4)
    assert everything(resumed) == everything(whole)
    # Started again from the first epoch, it freezes again.
    assert moved(whole, GradualUnfreezing(), epochs=1)[0] == ["second", "head"]


@pytest.mark.backend
def test_a_frozen_layer_is_that_of_an_untrained_model():
    model = network(composed(*groups("first", "second", "third")))
    before = [array(weight) for weight in model.get_layer("first").weights]
    moved(model, GradualUnfreezing(epochs=9))
    for weight, value in zip(model.get_layer("first").weights, before, strict=True):
        np.testing.assert_array_equal(array(weight), value)


REFUSED = {
    "needs a ComposedOptimizer whose groups have switches.*The optimizer is: SGD": (
        lambda: keras.optimizers.SGD(0.1),
        GradualUnfreezing(),
    ),
    "No group of the optimizer has a switch": (
        lambda: composed(ParameterGroup("head", l2=0.1)),
        GradualUnfreezing(),
    ),
    "groups with a switch.*: first, third. Received: 'thrd'. Did you mean `third`": (
        lambda: composed(*groups("first", "third")),
        GradualUnfreezing(["thrd"]),
    ),
    r"one epoch for each of 2 groups \(third, first\)": (
        lambda: composed(*groups("first", "third")),
        GradualUnfreezing(epochs=[1, 2, 3]),
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_unfrozen_is_refused_before_the_first_step(message):
    make, callback = REFUSED[message]
    callback.set_model(network(make()))
    with pytest.raises(InputError, match=message):
        callback.on_train_begin()


INVALID = {
    "`groups` must be a list of names": ("head", 1),
    "`groups` must be a list": ([], 1),
    "`groups` must be names of parameter groups, each one time. Received: 'a'": (["a", "b", "a"], 1),
    "`epochs` must be a whole number >= 1": (["a"], 0),
    r"`epochs\[1\]` must be a whole number >= 0": (["a", "b"], [1, 1.5]),
    "`epochs` must not fall": (["a", "b"], [3, 1]),
    "`epochs` must have one epoch for each of 2 groups": (["a", "b"], [3]),
}


@pytest.mark.parametrize("message", INVALID)
def test_arguments_that_are_something_else(message):
    with pytest.raises(InputError, match=message):
        GradualUnfreezing(*INVALID[message])
