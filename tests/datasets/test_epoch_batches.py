"""The epochs of `fit` in data whose order the epoch decides."""

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.datasets import Batches, SeededOrder

pytestmark = pytest.mark.backend

SAMPLES = 5


class Digits(keras.metrics.Metric):
    """The samples of the epoch in the order in which the model saw them: 3, 1, 4 is 314. Exact in float32 up to 7."""

    def __init__(self, name="digits"):
        super().__init__(name=name)
        self.value = self.add_weight(shape=(), initializer="zeros", name="value")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.value.assign(10 * self.value + keras.ops.sum(keras.ops.cast(y_true, "float32")))

    def result(self):
        return 1.0 * self.value  # Not the variable, which the validation resets.


class Numbers(keras.utils.PyDataset):
    def __len__(self):
        return SAMPLES

    def __getitem__(self, index):
        return np.full((1, 1), index, np.float32), np.full((1, 1), index, np.float32)


def arrays():
    numbers = np.arange(SAMPLES, dtype=np.float32)[:, None]
    return Batches(numbers, numbers, 1, seed=7)


def dataset():
    return SeededOrder(Numbers(), seed=7)


def threads():
    return SeededOrder(Numbers(workers=3), seed=7)


def expected(epochs):
    """By the definition: the permutation of (seed, epoch, 0)."""
    orders = [np.random.default_rng([7, epoch, 0]).permutation(SAMPLES) for epoch in epochs]
    return [float("".join(map(str, order))) for order in orders]


def network(built=True, **options):
    layers = [keras.Input((1,))] * built + [keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse", metrics=[Digits()], **options)
    return model


@pytest.mark.parametrize("built", [True, False], ids=["built", "unbuilt"])
@pytest.mark.parametrize("made", [arrays, dataset, threads])
def test_fit_alone_sees_the_order_of_each_of_its_epochs(made, built):
    data, model = made(), network(built)
    options = {"shuffle": False, "verbose": 0, "validation_data": (np.zeros((3, 1)), np.zeros((3, 1)))}
    assert model.fit(data, epochs=3, **options).history["digits"] == expected([0, 1, 2])
    # Another `fit` counts as it says.
    assert model.fit(data, epochs=6, initial_epoch=4, **options).history["digits"] == expected([4, 5])
    assert model.fit(data, **options).history["digits"] == expected([0])


@pytest.mark.parametrize("made", [arrays, threads])
def test_what_goes_through_them_otherwise_moves_nothing(made):
    data, model, seen = made(), network(), []

    def look(epoch, logs):
        model.predict(data, verbose=0)
        seen.append(model.evaluate(data, verbose=0, return_dict=True)["digits"])
        model.reset_metrics()

    looking = keras.callbacks.LambdaCallback(on_epoch_begin=look)
    history = model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[looking], validation_data=data)
    assert history.history["digits"] == seen == expected([0, 1, 2])
    data.start(8)
    assert model.evaluate(data, verbose=0, return_dict=True)["digits"] == expected([8])[0]


def test_fit_begins_with_a_whole_epoch_wherever_the_data_have_been():
    # Such as within an epoch that had been resumed, when an exception ended it.
    data = arrays()
    data.start(1, 3)
    history = network().fit(data, epochs=2, shuffle=False, verbose=0)
    assert history.history["digits"] == expected([0, 1]) and len(data) == SAMPLES


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no steps_per_execution on torch")
@pytest.mark.parametrize("steps", [2, 5])
def test_several_steps_an_execution(steps):
    history = network(steps_per_execution=steps).fit(arrays(), epochs=3, shuffle=False, verbose=0)
    assert history.history["digits"] == expected([0, 1, 2])


def test_epochs_in_the_middle_of_others_are_refused():
    with pytest.raises(InputError, match=r"of which there are 5. Received: steps_per_epoch=2. Leave it out"):
        network().fit(arrays(), epochs=2, steps_per_epoch=2, shuffle=False, verbose=0)
