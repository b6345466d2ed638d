"""What is used of Keras's `fit` beyond its public API; these fail when Keras changes it."""

import sys
import weakref

import keras
import numpy as np
import pytest

from kerastrain import datasets
from kerastrain._core import keras_training

pytestmark = pytest.mark.backend


class Data(keras.utils.PyDataset):
    def __init__(self, length=5):
        super().__init__()
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return np.full((2, 1), index, np.float32), np.zeros((2, 1), np.float32)


class Does(keras.callbacks.Callback):
    """Calls functions of itself at the hooks of `fit`, and counts the steps of each epoch."""

    def __init__(self, **hooks):
        super().__init__()
        self.hooks, self.counts = hooks, []

    def _call(self, name):
        if name in self.hooks:
            self.hooks[name](self)

    def on_train_begin(self, logs=None):
        self._call("train_begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.counts.append(0)
        self._call("epoch_begin")

    def on_train_batch_end(self, batch, logs=None):
        self.counts[-1] += 1
        self._call("batch_end")

    def on_epoch_end(self, epoch, logs=None):
        self._call("epoch_end")


def network(**options):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[keras.metrics.MeanAbsoluteError()], **options)
    return model


def test_the_list_that_calls_is_found_with_all_of_its_callbacks():
    found, other = [], Does()
    asking = Does(train_begin=lambda one: found.append(keras_training.callback_list_of(one)))
    network().fit(Data(), callbacks=[other, asking], shuffle=False, verbose=0)
    assert isinstance(found[0], keras.callbacks.CallbackList)
    names = [type(one).__name__ for one in found[0].callbacks]
    assert found[0].callbacks[:2] == [other, asking] and names[2:] == ["History"]


def test_called_by_hand_there_is_none():
    assert keras_training.callback_list_of(Does()) is None
    assert keras_training.fitted_data() is None
    with pytest.raises(RuntimeError, match="no `epoch_iterator` in `fit`"):
        keras_training.shortened_epoch(1)


def test_an_exchanged_list_is_the_one_that_is_called_from_then_on():
    late = Does()

    def exchange(one):
        everybody = keras_training.callback_list_of(one)
        everybody.callbacks = [late, *everybody.callbacks]

    first = Does(train_begin=exchange)
    network().fit(Data(), callbacks=[first], epochs=2, shuffle=False, verbose=0)
    assert late.counts == first.counts == [5, 5]


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("execution", [1, 2])
def test_an_epoch_is_shortened_and_the_next_is_whole(steps, execution):
    if execution > 1 and keras.backend.backend() == "torch":
        pytest.skip("Keras has no steps_per_execution on torch")
    undo = []

    def shorten(one):
        if len(one.counts) == 2:
            data.length = steps
            undo.append(keras_training.shortened_epoch(steps))

    def lengthen(one):
        if len(one.counts) == 2:
            data.length = 5
            undo[0]()

    data = Data()
    callback = Does(epoch_begin=shorten, epoch_end=lengthen)
    model = network(steps_per_execution=execution)
    model.fit(data, callbacks=[callback], epochs=4, shuffle=False, verbose=0)
    whole, short = -(-5 // execution), -(-steps // execution)
    assert callback.counts == [whole, short, whole, whole]
    # Not a step more has been begun, which counters would tell.
    assert int(model.optimizer.iterations) == 3 * 5 + steps


@pytest.mark.parametrize("epoch", [0, 2, 3])
def test_fit_begins_at_the_epoch_that_is_set_while_it_begins(epoch):
    callback = Does(train_begin=lambda one: keras_training.start_at_epoch(one.model, epoch))
    model = network()
    history = model.fit(Data(), callbacks=[callback], epochs=3, shuffle=False, verbose=0)
    assert history.epoch == list(range(epoch, 3))
    keras_training.start_at_epoch(model, None)
    assert model.fit(Data(), epochs=2, initial_epoch=1, shuffle=False, verbose=0).epoch == [1]


def test_a_wish_to_stop_that_is_there_when_fit_begins_is_kept():
    def stop(one):
        keras_training.start_at_epoch(one.model, 3)
        one.model.stop_training = True

    model = network()
    model.fit(Data(), callbacks=[Does(train_begin=stop)], epochs=3, shuffle=False, verbose=0)
    assert model.stop_training is True


def test_within_a_step_weights_and_counters_can_be_read_after_syncing():
    found = []

    def read(one):
        keras_training.synced(one.model)
        variables = [*one.model.variables, *one.model.optimizer.variables, *one.model.metrics_variables]
        found.append([np.array(keras.ops.convert_to_numpy(variable)) for variable in variables])

    model = network()
    model.fit(Data(), callbacks=[Does(batch_end=read)], shuffle=False, verbose=0)
    assert len({values[0].tobytes() for values in found}) == 5
    np.testing.assert_array_equal(found[-1][0], keras.ops.convert_to_numpy(model.variables[0]))
    model.optimizer.iterations.assign(0)
    keras_training.synced(network())


def test_metric_variables_are_there_before_the_first_step():
    model, twin = network(), network()
    data = Data()
    variables = keras_training.built_metrics(model, data[0])
    twin.fit(data, shuffle=False, verbose=0)
    shapes = [(tuple(variable.shape), variable.dtype) for variable in twin.metrics_variables]
    assert [(tuple(variable.shape), variable.dtype) for variable in variables] == shapes and len(shapes) == 4


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("steps", [None, 2])
def test_what_fit_goes_through_is_told(shuffle, steps):
    found, data = [], Data()
    callback = Does(train_begin=lambda one: found.append(keras_training.fitted_data()))
    network().fit(data, callbacks=[callback], shuffle=shuffle, steps_per_epoch=steps, verbose=0)
    assert found[0][0] is data and found[0][1:] == (shuffle, steps)
    network().fit(np.zeros((4, 1)), np.zeros((4, 1)), callbacks=[callback], verbose=0)
    assert found[1][0] is None


def test_values_within_a_step_and_the_loss_of_a_step():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)])
    model.compile(keras.optimizers.SGD(0.01), loss="mse", metrics=["mae"])
    found, synced = [], []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            tracker = keras_training.loss_tracker(model)
            variables = [model.layers[0].kernel, model.optimizer.iterations, tracker.total, tracker.count]
            found.append([float(keras_training.value_within_step(model, one).squeeze()) for one in variables])
            # It has not brought the state back, which would cost every step.
            synced.append(getattr(model, "_jax_state_synced", False))

    model.fit(Data(3), shuffle=False, verbose=0, callbacks=[Look()])
    kernel, total = 1.0, 0.0
    for index, (value, iterations, sums, count) in enumerate(found):
        # Inputs are 0, 1, 2 and targets 0: the loss is (kernel x)^2, and its gradient 2 kernel x^2.
        total += 2 * (kernel * index) ** 2
        kernel -= 0.01 * 2 * kernel * index**2
        assert value == pytest.approx(kernel) and iterations == index + 1
        assert (sums, count) == (pytest.approx(total), 2 * (index + 1))
    assert synced == [False] * 3
    assert keras_training.loss_tracker(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])) is None


def test_the_training_step_is_compiled_anew_and_the_old_one_comes_back():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    model.train_on_batch(*Data()[0])
    before = model.train_function
    with keras_training.fresh_train_function(model):
        model.train_on_batch(*Data()[0])
        assert model.train_function is not before
    assert model.train_function is before and before is not None


@pytest.mark.parametrize("built", [True, False])
def test_the_epoch_of_fit_is_told_to_the_hooks_of_its_data(built):
    class Told(Data):
        found = ()

        def on_epoch_begin(self):
            self.found = (*self.found, ("begin", keras_training.epoch_of_fit()))

        def on_epoch_end(self):
            self.found = (*self.found, ("end", keras_training.epoch_of_fit()))

    data, other = Told(), Told()
    model = network() if built else keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(data, epochs=4, initial_epoch=2, validation_data=other, shuffle=False, verbose=0)
    # In front of the first epoch Keras looks at a batch where something must be built, and then begins anew.
    assert data.found[-5] == ("end", (2, False)) and set(data.found[:-5]) <= {("begin", (2, False))}
    assert data.found[-4:] == tuple((hook, (epoch, True)) for epoch in (2, 3) for hook in ("begin", "end"))
    assert {epoch for _, epoch in other.found} == {None}
    assert keras_training.epoch_of_fit() is None


def test_the_validation_of_fit_is_told():
    found = []
    callback = Does(train_begin=lambda one: found.append(keras_training.validation_of_fit()))
    held = np.zeros((2, 1)), np.zeros((2, 1))
    options = {"validation_data": held, "validation_batch_size": 2, "validation_freq": 3, "validation_steps": 1}
    network().fit(Data(), callbacks=[callback], shuffle=False, verbose=0, **options)
    network().fit(Data(), callbacks=[callback], shuffle=False, verbose=0)
    assert found == [{"data": held, "batch_size": 2, "steps": 1, "every_epochs": 3}, None]
    assert keras_training.validation_of_fit() is None


def test_a_frame_that_was_looked_into_does_not_keep_what_its_function_lets_go():
    class Large:
        pass

    def caller():
        self, other = Large(), Large()
        gone = weakref.ref(self), weakref.ref(other)
        assert keras_training.callback_list_of(None) is None
        del self, other
        return [one() for one in gone]

    assert caller() == [None, None]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data is TensorFlow's")
def test_the_pipeline_of_our_batches_is_not_tuned_which_fit_would_wait_for():
    x, y = np.zeros((8, 4, 4, 3), np.uint8), np.zeros(8, np.int64)
    found = []

    def look(callback):
        frame = sys._getframe()
        while "epoch_iterator" not in frame.f_locals:
            frame = frame.f_back
        found.append(frame.f_locals["epoch_iterator"]._distributed_dataset.options().autotune.enabled)

    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(datasets.Batches(x, y, 4, seed=0), callbacks=[Does(epoch_begin=look)], epochs=2, shuffle=False, verbose=0)
    assert found == [False, False]
